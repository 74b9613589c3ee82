import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import FoundationEssentials
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct PostgresBatchTests {
    private func withTable(_ body: (PostgresDatabase) async throws -> Void) async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n < 100), day date)")
            try await database.execute("INSERT INTO t SELECT i, i FROM generate_series(1, 20) i")
            try await body(database)
        }
    }

    private func select(_ id: Int) -> SQL { "SELECT n FROM t WHERE id = \(id)" }

    @Test func `The rows of a batch come in the order of its statements`() async throws {
        try await withTable { database async throws in
            for _ in 0..<3 {
                let ids = (1...20).shuffled()
                let results = try await database.batch(ids.map(select) + ["SELECT id FROM t ORDER BY id DESC"])
                #expect(try results.dropLast().map { try $0[0].get(0, as: Int.self) } == ids)
                #expect(results.last?.count == 20)
            }
            #expect(try await database.batch([]).isEmpty)
            #expect(try await database.batch([select(3)])[0][0].get(0, as: Int.self) == 3)
        }
    }

    @Test func `A batch that changes data is one transaction`() async throws {
        try await withTable { database async throws in
            let error = await code {
                _ = try await database.batch([
                    "UPDATE t SET n = 50 WHERE id = 1", "UPDATE t SET n = 100 WHERE id = 2",
                    "UPDATE t SET n = 51 WHERE id = 3",
                ])
            }
            #expect(error == .failedPrecondition)
            #expect(try await database.value("SELECT count(*) FROM t WHERE n >= 50") == 0)
            let rows = try await database.batch([
                "UPDATE t SET n = 50 WHERE id = 1 RETURNING n", "UPDATE t SET n = 51 WHERE id = 3",
            ])
            #expect(try rows[0][0].get(0, as: Int.self) == 50 && rows[1].isEmpty)
            #expect(try await database.value("SELECT count(*) FROM t WHERE n >= 50") == 2)
        }
    }

    @Test func `A value that cannot be sent leaves nothing of its batch behind`() async throws {
        try await withTable { database async throws in
            func sendBatch() async -> StatusCode? {
                await code { _ = try await database.batch(["UPDATE t SET n = 70 WHERE id = 1", "SELECT \("a\0")"]) }
            }
            let alone = await sendBatch()
            #expect(alone == .invalidArgument)
            #expect(database.statistics.waiting == 0)
            try await database.transaction {
                let first = await sendBatch()
                try await database.execute("UPDATE t SET n = 71 WHERE id = 2")
                let later = await sendBatch()
                #expect(first == .invalidArgument && later == .invalidArgument)
            }
            #expect(try await database.value("SELECT sum(n) FROM t WHERE n >= 70") == 71)
        }
    }

    @Test func `A batch in a transaction is part of it, also as its first statement`() async throws {
        try await withTable { database async throws in
            let error = await code {
                try await database.transaction {
                    let rows = try await database.batch([
                        "UPDATE t SET n = 60 WHERE id = 1", "SELECT n FROM t WHERE id = 1",
                    ])
                    #expect(try rows[1][0].get(0, as: Int.self) == 60)
                    throw AppError(.notFound, "Roll back.")
                }
            }
            #expect(error == .notFound)
            #expect(try await database.batch([select(1), select(2)])[0][0].get(0, as: Int.self) == 1)
        }
    }

    @Test func `The types of a batch are those of its queries`() async throws {
        struct Number: RowDecodable {
            let n: Int
            init(row: Row) throws { n = try row.get("n") }
        }
        struct Count: RowDecodable {
            let count: Int
            init(row: Row) throws { count = try row.get("count") }
        }
        try await withTable { database async throws in
            let (numbers, counts) = try await database.batch(
                ("SELECT n FROM t WHERE id <= \(2) ORDER BY id", Number.self), ("SELECT count(*) FROM t", Count.self))
            #expect(numbers.map(\.n) == [1, 2] && counts.map(\.count) == [20])
        }
    }

    @Test func `The first value of a statement does not decide how the others are sent`() async throws {
        try await withTable { database async throws in
            let days: [Date?] = [nil, Date(timeIntervalSince1970: 1_769_860_800), nil]
            let updates = days.enumerated().map { index, day -> SQL in
                "UPDATE t SET day = \(day.sqlValue) WHERE id = \(index + 1)"
            }
            _ = try await database.batch(updates)
            #expect(try await database.value("SELECT count(*) FROM t WHERE day = '2026-01-31'") == 1)
        }
    }

    @Test func `A batch survives a change of its tables`() async throws {
        try await withTable { database async throws in
            let batch: [SQL] = ["SELECT * FROM t WHERE id = 1", "SELECT * FROM t WHERE id = 2"]
            for column in ["a", "b"] {
                _ = try await database.batch(batch)
                try await database.execute("ALTER TABLE t ADD COLUMN \(identifier: column) numeric DEFAULT 1.5")
                #expect(try await database.batch(batch).allSatisfy { $0[0].has(column) })
            }
        }
    }

    @Test func `A batch ends at the deadline, and the connection goes on`() async throws {
        try await withTable { database async throws in
            let error = await code {
                try await withDeadline(.after(.milliseconds(100))) {
                    _ = try await database.batch(["SELECT 1", "SELECT pg_sleep(60)", "SELECT 2"])
                }
            }
            #expect(error == .deadlineExceeded)
            #expect(try await database.batch([select(1), select(2)])[1][0].get(0, as: Int.self) == 2)
        }
    }

    @Test func `A statement in the closure of a COPY of its transaction is refused`() async throws {
        try await withTable { database async throws in
            let error = await code {
                try await database.transaction {
                    _ = try await database.copyIn("COPY t (id, n) FROM STDIN") { data in
                        try await data.write(Array("99\t9\n".utf8))
                        _ = try await database.query("SELECT 1")
                    }
                }
            }
            #expect(error == .internal)
            #expect(try await database.value("SELECT count(*) FROM t") == 20)
        }
    }
}
