import ApusCore
public import ApusData

extension PostgresDatabase {
    /// Runs a query and reads its rows in batches, so that a large result needs little memory.
    ///
    /// The rows are those of one point in time. A connection is in use until the closure has seen all rows.
    /// - Parameters:
    ///   - batchSize: How many rows are read at once. 256 by default.
    ///   - body: Called with each row in order. If it throws, no further rows are read.
    public func forEachRow(
        of sql: SQL, batchSize: Int = 256, _ body: (Row) async throws -> Void
    ) async throws {
        let (text, values) = try sql.rendered(for: .postgres)
        try await withCursorTransaction { transaction in
            let name = "apus_cursor_\(UInt64.random(in: .min ... .max))"
            _ = try await transaction.run(
                "DECLARE \(name) NO SCROLL CURSOR FOR \(text)", values, keepsPrepared: false)
            while true {
                let batch = try await transaction.run(
                    "FETCH \(max(1, batchSize)) FROM \(name)", [], keepsPrepared: false
                ).rows
                for row in batch { try await body(row) }
                if batch.count < max(1, batchSize) { break }
            }
            _ = try await transaction.run("CLOSE \(name)", [], keepsPrepared: false)
        }
    }

    /// Runs a closure in the current transaction, or in one of its own that the closure's other statements do not join.
    private func withCursorTransaction(_ body: (PostgresTransaction) async throws -> Void) async throws {
        if let transaction = currentTransaction { return try await body(transaction) }
        try Task.checkCancellation()
        try await exclusive.withConnection(on: currentLoop) { connection in
            await connection.beginTransaction("BEGIN READ ONLY")
            do {
                try await body(PostgresTransaction(connection))
                try await connection.commit()
            } catch {
                await connection.rollback()
                throw error
            }
        }
    }
}
