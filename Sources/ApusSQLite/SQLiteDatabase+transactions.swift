import ApusCore
public import ApusData

extension SQLiteDatabase {
    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await transaction(TransactionOptions(), body)
    }

    /// Runs a closure in a transaction with options. The isolation is always that of `serializable`.
    ///
    /// A read-only transaction runs on a connection of its own, beside the writer. In memory, where there is no other
    /// connection, it holds the writer and can write.
    @discardableResult
    public func transaction<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result {
        try await options.run(on: self, body) {
            if options.isReadOnly, let snapshot = try await startSnapshot() {
                return try await read(in: snapshot, body)
            }
            return try await write(body)
        }
    }

    private func write<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let session = TransactionSession()
        try await runOnWriter(session)
        let ambient = AmbientTransaction(database: self, session: session)
        do {
            let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
            try await ambient.prepareCommit(self)
            try Task.checkCancellation()
            try await session.commit { [writer] completion in
                writer.afterCommit(ambient.committed(), completion)
            }
            return result
        } catch {
            ambient.rolledBack()
            await session.rollback()
            throw error
        }
    }

    private func read<Result: Sendable>(
        in session: TransactionSession, _ body: () async throws -> Result
    ) async throws -> Result {
        let ambient = AmbientTransaction(database: self, session: session)
        do {
            let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
            try await ambient.prepareCommit(self)
            await session.rollback()
            for action in ambient.committed() { action() }
            return result
        } catch {
            ambient.rolledBack()
            await session.rollback()
            throw error
        }
    }

    public func stream<Result: Sendable>(_ sql: SQL, _ body: (RowStream) async throws -> Result) async throws -> Result
    {
        if let currentTransaction { return try await stream(sql, on: currentTransaction, body) }
        guard sql.isRead, let snapshot = try await startSnapshot() else {
            return try await body(RowStream(rows: try await query(sql)))
        }
        do {
            let result = try await body(snapshot.stream(sql).rows)
            await snapshot.rollback()
            return result
        } catch {
            await snapshot.rollback()
            throw error
        }
    }

    private func stream<Result: Sendable>(
        _ sql: SQL, on session: TransactionSession, _ body: (RowStream) async throws -> Result
    ) async throws -> Result {
        let (rows, cursor) = session.stream(sql)
        do {
            let result = try await body(rows)
            await session.close(cursor)
            return result
        } catch {
            await session.close(cursor)
            throw error
        }
    }
}
