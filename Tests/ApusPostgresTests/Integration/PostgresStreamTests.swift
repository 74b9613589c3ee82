import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Synchronization
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct PostgresStreamTests {
    private struct Stop: Error {}

    private static let cursors: SQL = "SELECT count(*)::int FROM pg_cursors WHERE name LIKE 'apus_cursor%'"

    private func numbers(_ database: PostgresDatabase, to count: Int) async throws -> [Int] {
        try await database.stream("SELECT g::int FROM generate_series(1, \(count)) g") { rows in
            var numbers: [Int] = []
            for try await row in rows { numbers.append(try row.get(0)) }
            return numbers
        }
    }

    @Test(arguments: [0, 1, 63, 64, 65, 1064, 5000])
    func `A stream has all rows in order, in a transaction or outside of one`(count: Int) async throws {
        try await withDatabase { database, _ async throws in
            #expect(try await numbers(database, to: count) == Array(0..<count).map { $0 + 1 })
            try await database.transaction { () async throws in
                #expect(try await numbers(database, to: count) == Array(0..<count).map { $0 + 1 })
                #expect(try await database.value(Self.cursors) == 0)
            }
        }
    }

    @Test func `A stream reads no more than its consumer takes`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE SEQUENCE taken")
            try await database.transaction {
                let rows: SQL = "SELECT nextval('taken'), repeat('x', 100000) FROM generate_series(1, 10000)"
                try await database.stream(rows) { rows in
                    var count = 0
                    for try await _ in rows {
                        count += 1
                        if count == 70 { break }
                    }
                }
                // 64 rows of unknown size, and a quarter of a megabyte of those of a known one.
                #expect(try await database.value("SELECT last_value::int FROM taken", as: Int.self) < 80)
                #expect(try await database.value(Self.cursors) == 0)
            }
        }
    }

    @Test func `A stream sees one moment, and the task can query and write meanwhile`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TABLE t AS SELECT g::int AS id FROM generate_series(1, 500) g")
            let count = try await database.stream("SELECT id FROM t") { rows in
                var count = 0
                for try await row in rows {
                    if count % 50 == 0 {
                        let id = try row.get(0, as: Int.self)
                        try await database.execute("INSERT INTO t VALUES (\(1000 + id))")
                        try await database.transaction {
                            try await database.execute("INSERT INTO t VALUES (\(2000 + id))")
                        }
                    }
                    count += 1
                }
                return count
            }
            #expect(count == 500)
            #expect(try await database.value("SELECT count(*)::int FROM t") == 520)
        }
    }

    @Test func `A stream in a transaction sees its writes, and goes on with it`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TABLE t (id int)")
            let error = await code {
                try await database.transaction { () async throws in
                    try await database.execute("INSERT INTO t SELECT generate_series(1, 100)")
                    await #expect(throws: Stop.self) {
                        try await database.stream("SELECT id FROM t") { rows in
                            for try await _ in rows { throw Stop() }
                        }
                    }
                    #expect(try await database.value(Self.cursors) == 0)
                    #expect(try await database.value("SELECT count(*)::int FROM t") == 100)
                    throw AppError(.resourceExhausted, "Stop.")
                }
            }
            #expect(error == .resourceExhausted)
            #expect(try await database.value("SELECT count(*)::int FROM t") == 0)
        }
    }

    @Test func `A stream frees its connection when its closure throws or its task is cancelled`() async throws {
        try await withDatabase(parameters: "pool_size=1") { database, _ async throws in
            for _ in 0..<3 {
                await #expect(throws: Stop.self) {
                    try await database.stream("SELECT generate_series(1, 1000)") { rows in
                        for try await _ in rows { throw Stop() }
                    }
                }
                let error = await code {
                    try await withDeadline(.after(.milliseconds(20))) {
                        try await database.stream("SELECT pg_sleep(60)") { rows in for try await _ in rows {} }
                    }
                }
                #expect(error == .deadlineExceeded)
            }
            #expect(try await numbers(database, to: 3) == [1, 2, 3])
            let statistics = await database.detailedStatistics()
            #expect(statistics.exclusiveConnections == 1 && statistics.waitingForExclusive == 0)
        }
    }

    @Test func `A stream does not wait for a second connection, which another stream may have`() async throws {
        try await withDatabase(parameters: "pool_size=1") { database, _ async throws in
            let error = await code {
                try await database.stream("SELECT 1") { rows in
                    for try await _ in rows {
                        // Single statements share connections of their own.
                        _ = try await database.query("SELECT 2")
                        _ = try await database.transaction { try await database.query("SELECT 3") }
                    }
                }
            }
            #expect(error == .resourceExhausted)
            // A task that outlives the closure waits as any other.
            let (ended, holds, release) = (Gate(), Gate(), Gate())
            let task = try await database.stream("SELECT 1") { _ in
                Task { () async throws in
                    try await ended.wait()
                    return try await database.transaction { try await database.value("SELECT 4", as: Int.self) }
                }
            }
            async let holder: Void = database.transaction {
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            ended.open()
            while database.statistics.waiting == 0 { await Task.yield() }
            release.open()
            try await holder
            #expect(try await task.value == 4)
            #expect(try await numbers(database, to: 1) == [1])
        }
    }

    @Test func `A mistake in a query of a stream is told, and what is no SELECT is read at once`() async throws {
        try await withDatabase { database, _ async throws in
            #expect(
                await code {
                    try await database.stream("SELECT nothing FROM nowhere") { rows in for try await _ in rows {} }
                } == .internal)
            try await database.execute("CREATE TABLE t (id int)")
            let ids = try await database.stream("INSERT INTO t VALUES (1), (2) RETURNING id") { rows in
                var ids: [Int] = []
                for try await row in rows { ids.append(try row.get(0)) }
                return ids
            }
            #expect(ids == [1, 2])
        }
    }

    @Test func `The rows of a stream cannot be read after its closure`() async throws {
        try await withDatabase { database, _ async throws in
            let rows = try await database.stream("SELECT generate_series(1, 1000)") { $0 }
            #expect(await code { for try await _ in rows {} } == .aborted)
        }
    }
}
