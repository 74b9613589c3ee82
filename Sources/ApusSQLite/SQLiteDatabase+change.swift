import ApusCore
public import ApusData

extension SQLiteDatabase {
    /// Reads, decides and changes in one visit to the writer's thread, in the transaction of the group. The closure runs
    /// on that thread; of the task's values, it sees only the transaction.
    public func change<Result: Sendable>(
        reading: ApusData.SQL, _ decide: @escaping @Sendable ([ApusData.Row]) throws -> Change<Result>
    ) async throws -> Result {
        let (result, log) = try await loggedChange(reading, decide)
        for entry in log { self.log.record(entry.sql, duration: entry.duration, rows: entry.rows) }
        return result
    }

    /// A statement that has run.
    private typealias LogEntry = (sql: ApusData.SQL, duration: Duration, rows: Int)

    private func loggedChange<Result: Sendable>(
        _ reading: ApusData.SQL, _ decide: @escaping @Sendable ([ApusData.Row]) throws -> Change<Result>
    ) async throws -> (Result, [LogEntry]) {
        if let (ambient, session) = try currentTransaction() {
            return try await ambient.run(isWrite: true) {
                try await session.run { connection in
                    // Part of the change must not stay if the transaction goes on.
                    try connection.inSavepoint { try Self.change(connection, ambient, nil, reading, decide) }
                }
            }
        }
        let transaction = PendingChange()
        let hook = CommitHook.current(of: self)
        let outer = AmbientTransaction.current
        do {
            return try await Operation.run(
                submit: { writer.submit(.single($0)) },
                afterwards: { [writer] in writer.afterCommit(transaction.committed(), $0) }
            ) { connection in
                let ambient = AmbientTransaction(database: self, session: nil, outer: outer)
                transaction.begin(ambient)
                return try Self.change(connection, ambient, hook, reading, decide)
            }
        } catch {
            transaction.rolledBack()
            throw error
        }
    }

    private static func change<Result>(
        _ connection: OpenConnection, _ ambient: AmbientTransaction, _ hook: CommitHook?, _ reading: ApusData.SQL,
        _ decide: ([ApusData.Row]) throws -> Change<Result>
    ) throws -> (Result, [LogEntry]) {
        let (rows, duration) = try measure { try connection.rows(of: reading) }
        var log: [LogEntry] = [(reading, duration, rows.count)]
        let change = try AmbientTransaction.$current.withValue(ambient) { try decide(rows) }
        for statement in change.statements {
            let (count, duration) = try measure { try connection.executeUpdate(statement) }
            log.append((statement, duration, count))
        }
        if let hook, !change.statements.isEmpty { try connection.run(hook) }
        return (change.result, log)
    }
}
