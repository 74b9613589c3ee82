import ApusCore
public import ApusData

extension PostgresDatabase {
    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await transaction(TransactionOptions(), body)
    }

    /// Runs a closure in a transaction with options, which are sent together with its first statement.
    ///
    /// A serializable transaction that only reads waits until it has a snapshot in which it cannot fail.
    @discardableResult
    public func transaction<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result {
        let (options, begin) = MigrationLock.adapted(options, on: self)
        return try await options.run(on: self, body) {
            try await withTransaction(begin) { connection in
                let transaction = PostgresTransaction(connection)
                let ambient = AmbientTransaction(database: self, session: transaction)
                return try await end(ambient) {
                    let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
                    if let hook = try ambient.prepareCommit(self) {
                        try hook.check(try await transaction.run(hook.statement).affectedRows)
                    }
                    try Task.checkCancellation()
                    try await connection.commit()
                    return result
                }
            }
        }
    }

    /// Runs a closure on a connection whose next statement begins a transaction, and which the closure has to end.
    ///
    /// - Parameters:
    ///   - begin: The statements that begin it.
    ///   - body: Commits the transaction. If it throws, the transaction is rolled back.
    /// - Returns: Its result, after the actions that it returns have run.
    func withTransaction<Result>(
        _ begin: [String],
        _ body: (PostgresConnection) async throws -> (result: Result, afterCommit: [@Sendable () -> Void])
    ) async throws -> Result {
        try Task.checkCancellation()
        let (result, actions) = try await exclusive.withConnection(on: currentLoop) { connection in
            await connection.beginTransaction(begin)
            do {
                return try await body(connection)
            } catch {
                await connection.rollback()
                throw error
            }
        }
        if !actions.isEmpty { await afterCommit.run(actions) }
        return result
    }

    /// Ends a transaction as the closure does that commits it.
    func end<Result>(
        _ ambient: AmbientTransaction, _ body: () async throws -> Result
    ) async throws -> (result: Result, afterCommit: [@Sendable () -> Void]) {
        do {
            let result = try await body()
            return (result, ambient.committed())
        } catch {
            ambient.rolledBack()
            throw error
        }
    }
}

extension TransactionOptions {
    /// The statement that begins a transaction with these options.
    var begin: String {
        let level = isolation.map { " ISOLATION LEVEL \($0.rawValue)" } ?? ""
        guard isReadOnly else { return "BEGIN\(level)" }
        return "BEGIN\(level) READ ONLY\(isolation == .serializable ? " DEFERRABLE" : "")"
    }
}
