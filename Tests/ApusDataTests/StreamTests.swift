import ApusCore
import ApusData
import ApusTesting
import Synchronization
import Testing

@testable import ApusSQLite

@Suite(.timeLimit(.minutes(5))) struct StreamTests {
    private struct Failure: Error {}

    private func insertNumbers(_ database: any Database, _ count: Int) async throws {
        try await database.execute("CREATE TABLE numbers (x INTEGER)")
        try await database.execute(
            """
            INSERT INTO numbers WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < \(count))
            SELECT i FROM n
            """)
    }

    @Test(arguments: [0, 1, 99, 100, 101, 1000]) func `A stream has all rows in order`(count: Int) async throws {
        try await withDatabase { database async throws in
            try await insertNumbers(database, max(1, count))
            let sql: SQL = "SELECT x FROM numbers ORDER BY x LIMIT \(count)"
            let numbers = try await database.stream(sql) { rows in
                var numbers: [Int] = []
                for try await row in rows { numbers.append(try row.get(0)) }
                return numbers
            }
            #expect(numbers == Array(0..<count))
        }
    }

    @Test func `A stream reads no more than its consumer takes`() async throws {
        try await withDatabase { database async throws in
            // Would never end.
            let endless: SQL =
                "SELECT i FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
            let third = try await database.stream(endless) { rows in
                var iterator = rows.makeAsyncIterator()
                for _ in 0..<2 { _ = try await iterator.next() }
                return try await iterator.next()?.get(0, as: Int.self)
            }
            #expect(third == 3)
        }
    }

    @Test func `A stream sees one moment, and the task can query and write meanwhile`() async throws {
        try await withDatabase { database async throws in
            try await insertNumbers(database, 500)
            let count = try await database.stream("SELECT x FROM numbers") { rows in
                var count = 0
                for try await row in rows {
                    count += 1
                    if count % 50 == 0 {
                        try await database.execute("INSERT INTO numbers VALUES (\(row.get(0, as: Int.self)))")
                        #expect(try await database.queryValue("SELECT COUNT(*) FROM numbers") == 500 + count / 50)
                    }
                }
                return count
            }
            #expect(count == 500)
        }
    }

    @Test func `A stream in a transaction sees its writes`() async throws {
        try await withDatabase { database async throws in
            try await insertNumbers(database, 300)
            let sum = try await database.transaction {
                try await database.execute("UPDATE numbers SET x = 1")
                return try await database.stream("SELECT x FROM numbers") { rows in
                    var sum = 0
                    for try await row in rows {
                        sum += try row.get(0, as: Int.self)
                        if sum == 150 { try await database.execute("DELETE FROM numbers WHERE x = 7") }
                    }
                    return sum
                }
            }
            #expect(sum == 300)
        }
    }

    @Test func `A transaction goes on after a stream that was not read to its end`() async throws {
        try await withDatabase { database async throws in
            try await insertNumbers(database, 300)
            try await database.transaction {
                try await database.stream("SELECT x FROM numbers") { rows in
                    for try await _ in rows { break }
                }
                try await database.execute("DROP TABLE numbers")
            }
            #expect(await code { _ = try await database.query("SELECT * FROM numbers") } == .internal)
        }
    }

    @Test func `A stream frees its connection when its closure throws or its task is cancelled`() async throws {
        var options = SQLiteOptions()
        options.snapshots = 1
        try await withDatabase(options: options) { database async throws in
            try await insertNumbers(database, 300)
            for _ in 0..<3 {
                await #expect(throws: Failure.self) {
                    try await database.stream("SELECT x FROM numbers") { rows in
                        for try await _ in rows { throw Failure() }
                    }
                }
                let reading = Gate()
                let task = Task {
                    try await database.stream("SELECT x FROM numbers") { rows in
                        for try await _ in rows {
                            reading.open()
                            try await Gate().wait()
                        }
                    }
                }
                try await reading.wait()
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            #expect(database.statistics.connections == 1 + 2 + 2 + 1)
        }
    }

    @Test func `Streams beyond the limit wait, until their deadline at most`() async throws {
        var options = SQLiteOptions()
        options.snapshots = 1
        try await withDatabase(options: options) { database async throws in
            try await insertNumbers(database, 10)
            try await database.stream("SELECT x FROM numbers") { _ in
                let ended = await code {
                    try await withDeadline(.after(.milliseconds(20))) {
                        try await database.stream("SELECT x FROM numbers") { _ in }
                    }
                }
                #expect(ended == .deadlineExceeded)
            }
            try await database.stream("SELECT x FROM numbers") { _ in }
        }
    }

    @Test func `A database in memory streams too`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try await insertNumbers(database, 300)
        let count = try await database.stream("SELECT x FROM numbers") { rows in
            var count = 0
            for try await _ in rows {
                count += try await database.execute("UPDATE numbers SET x = 0 WHERE x = \(count)")
            }
            return count
        }
        #expect(count > 0)
        await database.close()
    }

    @Test func `An invalid query of a stream is an internal error`() async throws {
        try await withDatabase { database async throws in
            let failed = await code {
                try await database.stream("SELECT * FROM nowhere") { rows in
                    for try await _ in rows {}
                }
            }
            #expect(failed == .internal)
        }
    }
}
