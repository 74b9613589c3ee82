import ApusCore
import ApusData
import ApusPostgres
import ApusTesting

/// Runs a closure with an empty database of a real server.
/// - Parameter parameters: The parameters of the URL.
func withDatabase(
    parameters: String = "", configure: (inout PostgresConfiguration) -> Void = { _ in },
    _ body: (PostgresDatabase, TestPostgres) async throws -> Void
) async throws {
    let server = try await TestPostgres.shared()
    let name = try await server.createDatabase()
    var configuration = try PostgresConfiguration(url: server.url(database: name, parameters: parameters))
    // Many tests run at once on few processors.
    configuration.connectTimeout = .seconds(60)
    configure(&configuration)
    let database = try PostgresDatabase(configuration)
    do {
        try await body(database, server)
    } catch {
        await database.close()
        throw error
    }
    await database.close()
}

/// Returns the code of the error that a closure throws; `nil` if it throws none.
func code(_ body: () async throws -> Void) async -> StatusCode? {
    do {
        try await body()
        return nil
    } catch {
        return AppError(wrapping: error).code
    }
}

extension PostgresDatabase {
    /// Returns the only value of a query.
    func value<Value: SQLValueConvertible>(_ sql: SQL, as type: Value.Type = Value.self) async throws -> Value {
        let rows = try await query(sql)
        guard rows.count == 1 else { throw AppError(.internal, "There are \(rows.count) rows.") }
        return try rows[0].get(0)
    }
}
