import ApusCore
import ApusData

/// A transaction: a connection that belongs to one task and its child tasks until the transaction ends.
final class PostgresTransaction: Sendable {
    let connection: PostgresConnection

    init(_ connection: PostgresConnection) { self.connection = connection }

    func run(_ sql: SQL, keepsPrepared: Bool = true) async throws -> StatementResult {
        let sql = sql.resolvingLists(for: .postgres)
        return try await PendingRequest(.statement(sql, keepsPrepared: keepsPrepared)).perform(on: connection)
    }
}

/// Runs actions after commits, one at a time.
actor AfterCommitActions {
    func run(_ actions: [@Sendable () -> Void]) { for action in actions { action() } }
}
