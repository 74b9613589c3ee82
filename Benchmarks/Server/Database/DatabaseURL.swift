import Apus
import ApusPostgres
import ApusSQLite

/// Opens the database of a URL.
/// - Throws: An `AppError` that says what is wrong with the URL.
func openDatabase(_ url: String) throws -> any Database {
    let engines: [any DatabaseEngine] = [SQLiteEngine(), PostgresEngine()]
    guard let engine = engines.first(where: { $0.schemes.contains { url.hasPrefix("\($0):") } }) else {
        throw AppError(.invalidArgument, "The database must be sqlite:path or postgres://user@host/database.")
    }
    return try engine.open(url)
}
