import Apus
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation

/// The database of the processes of a test: an empty one, which they migrate.
enum StoredIn: String, CaseIterable, Sendable {
    case sqlite, postgres

    static let available = allCases.filter { $0 == .sqlite || TestPostgres.isAvailable }

    /// Returns the URL of a new database.
    /// - Parameter folder: The folder of the test, for a file.
    func newDatabase(in folder: URL) async throws -> String {
        switch self {
        case .sqlite: return "sqlite:\(folder.path)/data/delivery-tracker.sqlite"
        case .postgres:
            let server = try await TestPostgres.shared()
            return server.url(database: try await server.createDatabase(), parameters: "connect_timeout=60")
        }
    }

    /// Runs a closure with a database that processes may have open.
    func open<Result>(_ url: String, _ body: (any Database) async throws -> Result) async throws -> Result {
        let database = try self == .sqlite ? SQLiteEngine().open(url) : PostgresEngine().open(url)
        do {
            let result = try await body(database)
            await database.close()
            return result
        } catch {
            await database.close()
            throw error
        }
    }
}
