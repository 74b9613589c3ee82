import ApusCore
public import ApusData

extension PostgresDatabase {
    /// Reads, decides and changes in two round trips: `BEGIN` is written together with the query, and `COMMIT` together
    /// with the changes. The closure runs again, up to 5 times, after a conflict with another transaction.
    public func change<Result: Sendable>(
        reading: SQL, _ decide: @escaping @Sendable ([Row]) throws -> Change<Result>
    ) async throws -> Result {
        if let (ambient, transaction) = try currentTransaction() {
            return try await ambient.run(isWrite: true) {
                try await change(on: transaction.connection, ambient, reading, commits: false, decide)
            }
        }
        if CommitHook.current(of: self) != nil {
            return try await transaction(.retryable) { try await change(reading: reading, decide) }
        }
        let (options, begin) = MigrationLock.adapted(.retryable, on: self)
        let outer = AmbientTransaction.current
        return try await options.retried {
            try await withTransaction(begin) { connection in
                let ambient = AmbientTransaction(database: self, session: nil, outer: outer)
                return try await end(ambient) {
                    try await change(on: connection, ambient, reading, commits: true, decide)
                }
            }
        }
    }

    private func change<Result>(
        on connection: PostgresConnection, _ ambient: AmbientTransaction, _ reading: SQL, commits: Bool,
        _ decide: ([Row]) throws -> Change<Result>
    ) async throws -> Result {
        let read = try await PendingRequest(reading).perform(on: connection)
        record(reading, read)
        let change = try AmbientTransaction.$current.withValue(ambient) { try decide(read.rows) }
        let requests = change.statements.map { PendingRequest($0) }
        try Task.checkCancellation()
        let results = try await connection.run(requests, commits: commits)
        for (statement, result) in zip(change.statements, results) { record(statement, result) }
        return change.result
    }
}
