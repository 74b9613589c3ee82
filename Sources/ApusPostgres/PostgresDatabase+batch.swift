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
        let group = PendingRequest(.group(Self.resolvingLists(statements)))
        var changes: Bool { !statements.allSatisfy(\.isRead) }
        let result: StatementResult
        if let (ambient, transaction) = try currentTransaction() {
            result = try await ambient.run(isWrite: changes) { try await group.perform(on: transaction.connection) }
        } else if CommitHook.current(of: self) != nil, changes {
            return try await transaction { try await batch(statements) }
        } else {
            result = try await runAlone(group)
        }
        queries.record(
            .joined(statements, separator: "; "), duration: .nanoseconds(result.duration.nanoseconds),
            rows: result.affectedRows)
        return result.group
    }

    private static func resolvingLists(_ statements: [SQL]) -> [SQL] {
        for index in statements.indices where statements[index].template.hasLists {
            return statements.map { $0.resolvingLists(for: .postgres) }
        }
        return statements
    }
}
