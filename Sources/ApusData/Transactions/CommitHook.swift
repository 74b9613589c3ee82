/// Additional statements for each transaction in which a task writes to a database. They run before the commit, and are
/// committed or rolled back with the transaction.
package struct CommitHook: Sendable {
    @TaskLocal private static var current: CommitHook?

    private let database: ObjectIdentifier
    /// Runs the statements.
    /// - Throws: If the transaction must not be committed.
    package let run: @Sendable () async throws -> Void

    package init(_ database: any Database, run: @escaping @Sendable () async throws -> Void) {
        self.database = ObjectIdentifier(database)
        self.run = run
    }

    /// Runs a closure and adds this companion to its transactions on the database.
    package func accompany<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        try await Self.$current.withValue(self) { try await body() }
    }

    /// Returns the current task's companion for a database, if there is one.
    package static func current(of database: any Database) -> CommitHook? {
        current.flatMap { $0.database == ObjectIdentifier(database) ? $0 : nil }
    }
}
