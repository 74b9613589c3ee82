/// Statements that belong to whatever a task writes to a database: they are run in each of its transactions, before the commit,
/// so that both are committed or neither.
package struct CommitCompanion: Sendable {
    @TaskLocal private static var current: CommitCompanion?

    private let database: ObjectIdentifier
    /// - Throws: When the transaction must not be committed.
    package let run: @Sendable () async throws -> Void

    package init(_ database: any Database, run: @escaping @Sendable () async throws -> Void) {
        self.database = ObjectIdentifier(database)
        self.run = run
    }

    /// Runs a body whose transactions of the database have this companion.
    package func accompany<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        try await Self.$current.withValue(self) { try await body() }
    }

    /// That of the present task for a database, if it has one.
    package static func current(of database: any Database) -> CommitCompanion? {
        current.flatMap { $0.database == ObjectIdentifier(database) ? $0 : nil }
    }
}
