import ApusCore
public import ApusData

extension SQLiteDatabase {
    /// Runs several statements in one visit to a connection, as one transaction. Queries see one moment.
    public func batch(_ statements: [ApusData.SQL]) async throws -> [[ApusData.Row]] {
        guard statements.count > 1 else {
            if let only = statements.first { return [try await query(only)] }
            return []
        }
        let isRead = statements.allSatisfy(\.isRead)
        let inline = isRead ? try await readInline({ try $0.rows(ofEach: statements) }) : nil
        let (results, duration) =
            if let inline { inline } else { try await runBatch(statements, isWrite: !isRead) }
        log.record(
            .joined(statements, separator: "; "), duration: duration, rows: results.reduce(0) { $0 + $1.count })
        return results
    }

    private func runBatch(
        _ statements: [ApusData.SQL], isWrite: Bool
    ) async throws -> (results: [[ApusData.Row]], duration: Duration) {
        @Sendable func results(_ connection: OpenConnection) throws -> ([[ApusData.Row]], Duration) {
            try Self.measure { try statements.map { try connection.rows(of: $0) } }
        }
        if let (ambient, session) = try currentTransaction() {
            return try await ambient.run(isWrite: isWrite) {
                // Part of the batch must not stay if the transaction goes on.
                try await session.run { connection in
                    isWrite ? try connection.inSavepoint { try results(connection) } : try results(connection)
                }
            }
        }
        if !isWrite, let readers {
            return try await Operation.run(submit: readers.submit) { connection in
                try connection.inReadTransaction { try results(connection) }
            }
        }
        let hook = isWrite ? CommitHook.current(of: self) : nil
        return try await Operation.run(submit: { writer.submit(.single($0)) }) { connection in
            let results = try results(connection)
            if let hook { try connection.run(hook) }
            return results
        }
    }
}
