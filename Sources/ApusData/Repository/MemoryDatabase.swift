import ApusCore

/// A database without SQL, for units of work over ``MemoryRepository`` in unit tests. Its transactions run actions after
/// their commit, and undo what repositories have changed when they are rolled back.
public final class MemoryDatabase: Database {
    public let dialect = SQLDialect.sqlite

    public init() {}

    public func query(_ sql: SQL) throws -> [Row] { throw Self.unimplemented }

    @discardableResult
    public func execute(_ sql: SQL) throws -> Int {
        // What they undo is not in the database.
        guard sql.isSavepoint else { throw Self.unimplemented }
        return 0
    }

    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        if let ambient = try AmbientTransaction.open(on: self) { return try await ambient.join(body) }
        let ambient = AmbientTransaction(database: self, session: ())
        do {
            let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
            // There is no SQL, so there is no hook to run.
            _ = try ambient.prepareCommit(self)
            for action in ambient.committed() { action() }
            return result
        } catch {
            ambient.rolledBack()
            throw error
        }
    }

    public func checkHealth() {}

    public func close() {}

    private static var unimplemented: AppError {
        AppError(.unimplemented, "A database in memory has no SQL. Use a MemoryRepository, or SQLite in memory.")
    }
}
