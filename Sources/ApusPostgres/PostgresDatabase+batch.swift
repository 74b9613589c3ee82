import ApusCore
public import ApusData
import NIOCore

extension PostgresDatabase {
    /// Runs several statements at once: they are written together, and take one round trip.
    ///
    /// Outside of a transaction they are one: if one fails, none has an effect. The server works on all of them before it
    /// is told of the next request, so other statements that share the connection wait for all.
    public func batch(_ statements: [SQL]) async throws -> [[Row]] {
        guard statements.count > 1 else {
            if let only = statements.first { return [try await query(only)] }
            return []
        }
        let parts = try statements.map { try $0.rendered(for: .postgres) }
        let isRead = statements.allSatisfy(\.isRead)
        let result: StatementResult
        if let (ambient, transaction) = try currentTransaction() {
            result = try await ambient.run(isWrite: !isRead) {
                try await PendingRequest(.group(parts)).perform(on: transaction.connection)
            }
        } else if !isRead, CommitHook.current(of: self) != nil {
            return try await transaction { try await batch(statements) }
        } else {
            result = try await runAlone(.group(parts))
        }
        let rows = result.group.reduce(0) { $0 + ($1.rows.isEmpty ? $1.affectedRows : $1.rows.count) }
        queries.record(
            .joined(statements, separator: "; "), duration: .nanoseconds(result.duration.nanoseconds), rows: rows)
        return result.group.map(\.rows)
    }
}
