import ApusCore
public import ApusData

extension PostgresDatabase {
    /// Runs a query, and passes its rows to a closure as they are read, in batches of about a quarter of a megabyte.
    ///
    /// Inside a transaction, the query is part of it. Otherwise it has a connection and a read-only transaction for
    /// itself, which the closure's other statements do not join; transactions in it need a second connection. What is no `SELECT` is read at once.
    public func stream<Result: Sendable>(_ sql: SQL, _ body: (RowStream) async throws -> Result) async throws -> Result
    {
        guard sql.isRead else { return try await body(RowStream(rows: try await query(sql))) }
        if let (ambient, transaction) = try currentTransaction() {
            return try await ambient.runClosure { try await stream(sql, in: transaction, body) }
        }
        return try await withTransaction(["BEGIN READ ONLY"]) { connection in
            let cursor = PostgresCursor(sql, in: PostgresTransaction(connection))
            // The cursor is closed with the transaction.
            defer { cursor.end() }
            let result = try await HeldConnection.hold(of: exclusive) { try await body(cursor.rows) }
            cursor.end()
            record(sql, cursor)
            await connection.rollback()
            return (result, [])
        }
    }

    private func stream<Result: Sendable>(
        _ sql: SQL, in transaction: PostgresTransaction, _ body: (RowStream) async throws -> Result
    ) async throws -> Result {
        let cursor = PostgresCursor(sql, in: transaction)
        do {
            let result = try await body(cursor.rows)
            await cursor.close()
            record(sql, cursor)
            return result
        } catch {
            await cursor.close()
            throw error
        }
    }

    private func record(_ sql: SQL, _ cursor: PostgresCursor) {
        let (rows, duration) = cursor.total
        queries.record(sql, duration: duration, rows: rows)
    }
}
