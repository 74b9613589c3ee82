import ApusCore
import ApusData
import ApusSQLite
import Foundation
import Testing

@Suite(.timeLimit(.minutes(1))) struct SQLiteBatchTests {
    /// Runs a closure on a database in a file, whose reads run inline, and on one in memory, which has the writer alone.
    private func withTable(_ body: (SQLiteDatabase) async throws -> Void) async throws {
        try await withFolder { folder async throws in
            for path in [folder.appending(path: "batch.sqlite").path, ":memory:"] {
                let database = try SQLiteDatabase(path: path)
                try await database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 100))")
                for id in 1...20 { try await database.execute("INSERT INTO t VALUES (\(id), \(id))") }
                try await body(database)
                await database.close()
            }
        }
    }

    private func select(_ id: Int) -> SQL { "SELECT n FROM t WHERE id = \(id)" }

    private func sum(_ database: SQLiteDatabase) async throws -> Int? {
        try await database.queryValue("SELECT SUM(n) FROM t")
    }

    @Test func `The rows of a batch come in the order of its statements`() async throws {
        try await withTable { database async throws in
            for _ in 0..<3 {
                let ids = (1...20).shuffled()
                let results = try await database.batch(ids.map(select) + ["SELECT id FROM t WHERE id IN \(list: ids)"])
                #expect(try results.dropLast().map { try $0[0].get(0, as: Int.self) } == ids)
                #expect(results.last?.count == 20)
            }
            #expect(try await database.batch([]).isEmpty)
            #expect(try await database.batch([select(3)])[0][0].get(0, as: Int.self) == 3)
        }
    }

    /// Runs a batch whose second statement fails.
    private func failingBatch(_ database: SQLiteDatabase) async -> StatusCode? {
        await code {
            _ = try await database.batch(["UPDATE t SET n = 50 WHERE id = 1", "UPDATE t SET n = 100 WHERE id = 2"])
        }
    }

    @Test func `A batch that changes data is one transaction, also inside another one`() async throws {
        try await withTable { database async throws in
            let error = await failingBatch(database)
            #expect(error == .failedPrecondition)
            #expect(try await sum(database) == 210)
            try await database.transaction {
                try await database.execute("UPDATE t SET n = 11 WHERE id = 10")
                let error = await failingBatch(database)
                #expect(error == .failedPrecondition)
                let rows = try await database.batch([
                    "UPDATE t SET n = 21 WHERE id = 20 RETURNING n", "SELECT n FROM t WHERE id = 1",
                ])
                #expect(try rows.map { try $0[0].get(0, as: Int.self) } == [21, 1])
            }
            #expect(try await sum(database) == 212)
        }
    }

    @Test func `A batch of queries in a transaction sees its changes`() async throws {
        try await withTable { database async throws in
            try await database.transaction {
                try await database.execute("UPDATE t SET n = 99 WHERE id = 1")
                let rows = try await database.batch([select(1), select(2)])
                #expect(try rows.map { try $0[0].get(0, as: Int.self) } == [99, 2])
            }
        }
    }

    @Test func `A batch that is too long for the event loop has the same rows`() async throws {
        try await withTable { database async throws in
            let long: SQL = """
                WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 50000) SELECT COUNT(*) FROM c
                """
            for _ in 0..<2 {
                let rows = try await database.batch([select(1), long, select(2)])
                #expect(try rows.map { try $0[0].get(0, as: Int.self) } == [1, 50_000, 2])
            }
            // The connections have no transaction open that would keep them from seeing later changes.
            try await database.execute("UPDATE t SET n = 60 WHERE id = 1")
            for _ in 0..<10 {
                #expect(try await database.batch([select(1), select(1)])[1][0].get(0, as: Int.self) == 60)
            }
        }
    }

    @Test func `A statement that fails is reported, and the next batch runs`() async throws {
        try await withTable { database async throws in
            #expect(await code { _ = try await database.batch([select(1), "SELECT n FROM missing"]) } == .internal)
            #expect(await code { _ = try await database.batch([select(1), "SELECT \("a\0b")"]) } == .invalidArgument)
            #expect(try await database.batch([select(1), select(2)]).count == 2)
        }
    }

    @Test func `A batch of queries sees one moment`() async throws {
        try await withTable { database async throws in
            let writer = Task {
                while !Task.isCancelled {
                    _ = try await database.batch([
                        "UPDATE t SET n = n + 1 WHERE id = 1 AND n < 50",
                        "UPDATE t SET n = n + 1 WHERE id = 2 AND n < 51",
                    ])
                    _ = try await database.batch(["UPDATE t SET n = 1 WHERE id = 1", "UPDATE t SET n = 2 WHERE id = 2"])
                }
            }
            for _ in 0..<300 {
                let rows = try await database.batch([select(1), select(2)])
                let (first, second) = (try rows[0][0].get(0, as: Int.self), try rows[1][0].get(0, as: Int.self))
                #expect(second == first + 1)
            }
            writer.cancel()
            _ = await writer.result
        }
    }
}
