/// A statement for each transaction in which a task writes to a database. It runs before the commit, and is committed or
/// rolled back with the transaction.
///
/// It is one statement, and what follows is decided without waiting, so that an engine can run it in one step with the
/// writes before it and the commit after it.
package struct CommitHook: Sendable {
    @TaskLocal private static var current: CommitHook?

    private let database: ObjectIdentifier
    /// The statement.
    package let statement: SQL
    /// Receives the number of rows that the statement has changed.
    /// - Throws: If the transaction must not be committed.
    package let check: @Sendable (_ rows: Int) throws -> Void

    package init(
        _ database: any Database, statement: SQL, check: @escaping @Sendable (_ rows: Int) throws -> Void
    ) {
        self.database = ObjectIdentifier(database)
        self.statement = statement
        self.check = check
    }

    /// Runs a closure and adds this hook to its transactions on the database.
    package func accompany<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        try await Self.$current.withValue(self) { try await body() }
    }

    /// Returns the current task's hook for a database, if there is one.
    package static func current(of database: any Database) -> CommitHook? {
        current.flatMap { $0.database == ObjectIdentifier(database) ? $0 : nil }
    }
}
