import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Foundation
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable))
struct PostgresDatabaseTests {
    @Test func `Values round-trip at their extremes, at the first execution as at later ones`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute(
                "CREATE TABLE v (i8 int8, f float8, t text, b bytea, at timestamptz, flag bool, d date, n numeric)")
            let texts = [
                "", "\u{1F468}\u{200D}\u{1F469}", "e\u{301}", "'; DROP TABLE v; --",
                String(repeating: "x", count: 100_000),
            ]
            let dates = [-62_135_596_800.0, 0, 1_767_225_600.000001, 253_402_300_799.999]
            for round in 0..<3 {
                for (index, integer) in [Int64.min, 0, .max].enumerated() {
                    let text = texts[(round + index) % texts.count]
                    let date = Date(timeIntervalSince1970: dates[(round + index) % dates.count])
                    let number = [Double.greatestFiniteMagnitude, Double.leastNonzeroMagnitude, -.infinity][index]
                    let bytes = Array((0...255).map { UInt8($0) })
                    let row = try await database.query(
                        """
                        INSERT INTO v VALUES (\(integer), \(number), \(text), \(bytes), \(date), \(index == 0), \(date),
                        \("123456789012345678901234567890.5")) RETURNING *
                        """)[0]
                    #expect(try row.get("i8", as: Int64.self) == integer)
                    #expect(try row.get("f", as: Double.self) == number)
                    #expect(try row.get("t", as: String.self).utf8.elementsEqual(text.utf8))
                    #expect(try row.get("b", as: [UInt8].self) == bytes)
                    #expect(abs(try row.get("at", as: Date.self).timeIntervalSince(date)) < 1e-6)
                    #expect(try row.get("flag", as: Bool.self) == (index == 0))
                    let day = (date.timeIntervalSince1970 / 86400).rounded(.down) * 86400
                    #expect(try row.get("d", as: Date.self).timeIntervalSince1970 == day)
                    #expect(try row.get("n", as: String.self) == "123456789012345678901234567890.5")
                }
            }
        }
    }

    @Test func `psql sees the values that were written`() async throws {
        let server = try await TestPostgres.shared()
        let name = try await server.createDatabase()
        let database = try PostgresDatabase(PostgresConfiguration(url: server.url(database: name)))
        try await database.execute("CREATE TABLE t (at timestamptz, plain timestamp, n numeric, tags text[])")
        for _ in 0..<2 {
            let at = Date(timeIntervalSince1970: 1_769_860_800.25)
            try await database.execute("INSERT INTO t VALUES (\(at), \(at), \(1.5), \(PostgresArray(["a", "b,\""])))")
        }
        await database.close()
        let text = try await server.psql("SET timezone = 'America/New_York'; SELECT * FROM t", database: name)
        let line = "2026-01-31 07:00:00.25-05|2026-01-31 12:00:00.25|1.5|{a,\"b,\\\"\"}"
        #expect(text == line + "\n" + line)
    }

    @Test func `Special values of numbers and dates are exact or refused`() async throws {
        try await withDatabase { database, _ async throws in
            for _ in 0..<2 {
                let row = try await database.query(
                    "SELECT 'NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric, 'NaN'::float8, sum(x) FROM generate_series(1, 3) x"
                )[0]
                #expect(try (0..<3).map { try row.get($0, as: String.self) } == ["NaN", "Infinity", "-Infinity"])
                #expect(try row.get(3, as: Double.self).isNaN)
                #expect(try row.get(4, as: Int.self) == 6)
                #expect(await code { _ = try await database.query("SELECT 'infinity'::timestamptz") } == .internal)
                #expect(await code { _ = try await database.query("SELECT '-infinity'::date") } == .internal)
                #expect(await code { _ = try await database.query("SELECT now()::timestamp") } == .internal)
            }
            #expect(await code { _ = try await database.query("SELECT \("a\0b")") } == .invalidArgument)
            #expect(await code { _ = try await database.query("SELECT \("\"\\u0000\"")::jsonb") } == .invalidArgument)
        }
    }

    @Test func `Types that only this server knows are text`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TYPE color AS ENUM ('red', 'green')")
            try await database.execute("CREATE TABLE c (color color, tags int[], span interval, address inet)")
            for _ in 0..<2 {
                try await database.execute(
                    "INSERT INTO c VALUES (\("red"), \(PostgresArray([1, 2])), \("1 day"), \("10.0.0.1"))")
                let row = try await database.query("SELECT * FROM c WHERE color = \("red") LIMIT \(1)")[0]
                #expect(try row.get("color", as: String.self) == "red")
                #expect(try row.get("tags", as: PostgresArray<Int>.self).elements == [1, 2])
                #expect(try row.get("span", as: String.self) == "1 day")
                #expect(try row.get("address", as: String.self) == "10.0.0.1")
            }
        }
    }

    @Test func `Errors have their code, and the details only in the log`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0), r int REFERENCES t)")
            try await database.execute("INSERT INTO t (id) VALUES (1)")
            #expect(await code { try await database.execute("INSERT INTO t (id) VALUES (1)") } == .alreadyExists)
            #expect(await code { try await database.execute("INSERT INTO t VALUES (2, 0)") } == .failedPrecondition)
            #expect(await code { try await database.execute("INSERT INTO t VALUES (2, 1, 9)") } == .failedPrecondition)
            #expect(await code { try await database.execute("INSERT INTO t VALUES (NULL)") } == .failedPrecondition)
            #expect(await code { try await database.execute("INSERT INTO t VALUES (\("x"))") } == .invalidArgument)
            #expect(await code { try await database.execute("SELEKT") } == .internal)
            #expect(await code { try await database.execute("SELECT 1; SELECT 2") } == .internal)
            #expect(await code { try await database.execute("COMMIT") } == .internal)
            #expect(await code { try await database.execute("COPY t FROM STDIN") } == .internal)
            #expect(try await database.value("SELECT count(*) FROM t") == 1)
        }
    }

    @Test func `A prepared statement survives a change of its table`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TABLE t (id int, name text)")
            try await database.execute("INSERT INTO t VALUES (1, 'a')")
            for _ in 0..<20 { _ = try await database.query("SELECT * FROM t WHERE id = \(1)") }
            try await database.execute("ALTER TABLE t ADD COLUMN extra int DEFAULT 7")
            for _ in 0..<20 {
                #expect(try await database.query("SELECT * FROM t WHERE id = \(1)")[0].get("extra", as: Int.self) == 7)
            }
            try await database.execute("ALTER TABLE t ALTER COLUMN id TYPE text")
            #expect(try await database.query("SELECT * FROM t WHERE id = \("1")").count == 1)
        }
    }

    @Test(arguments: ["", "prepare=off"])
    func `Many tasks share a few connections, and each gets its own rows`(parameters: String) async throws {
        try await withDatabase(parameters: parameters + "&shared_connections=2") { database, _ async throws in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        if number % 10 == 0 {
                            return await code { _ = try await database.query("SELECT 1 / \(0)") } == .invalidArgument
                        }
                        let row = try await database.query("SELECT \(number)::int AS a, \("t\(number)") AS b")[0]
                        return try row.get("a", as: Int.self) == number && row.get("b", as: String.self) == "t\(number)"
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
            let statistics = await database.detailedStatistics()
            #expect(statistics.runningStatements == 0 && statistics.waitingStatements == 0)
        }
    }

    @Test func `Large values go both ways at once without a deadlock`() async throws {
        try await withDatabase(parameters: "shared_connections=1") { database, _ async throws in
            let large = String(repeating: "x", count: 4 << 20)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        try await database.query("SELECT \(large) AS t")[0].get("t", as: String.self).utf8.count
                    }
                }
                for try await count in group { #expect(count == large.utf8.count) }
            }
        }
    }

    @Test func `Rows are copied in and out`() async throws {
        try await withDatabase { database, _ async throws in
            try await database.execute("CREATE TABLE t (id int, name text)")
            let count = try await database.copyIn("COPY t FROM STDIN") { data in
                for id in 0..<50_000 { try await data.write(Array("\(id)\tname \(id)\n".utf8)) }
            }
            #expect(count == 50_000)
            var bytes: [UInt8] = []
            let copied = try await database.copyOut("COPY (SELECT id FROM t WHERE id < 3 ORDER BY id) TO STDOUT") {
                bytes += $0
            }
            #expect(copied == 3 && bytes == Array("0\n1\n2\n".utf8))
            #expect(
                await code {
                    try await database.copyIn("COPY t FROM STDIN") { try await $0.write(Array("x\ty\n".utf8)) }
                } == .invalidArgument)
            #expect(
                await code {
                    try await database.copyIn("COPY t FROM STDIN") { data in
                        try await data.write(Array("1\ty\n".utf8))
                        throw AppError(.aborted, "Stop.")
                    }
                } == .aborted)
            #expect(try await database.value("SELECT count(*) FROM t") == 50_000)
            // Inside a transaction, the rows are rolled back with it.
            #expect(
                await code {
                    try await database.transaction {
                        try await database.copyIn("COPY t FROM STDIN") { try await $0.write(Array("7\ty\n".utf8)) }
                        throw AppError(.aborted, "Stop.")
                    }
                } == .aborted)
            #expect(try await database.value("SELECT count(*) FROM t") == 50_000)
        }
    }

    @Test func `Subscribers are told about gaps and notifications, also after the connection was lost`() async throws {
        try await withDatabase { database, _ async throws in
            var events = database.notifications(on: "Orders \"x\"").makeAsyncIterator()
            #expect(await events.next() == .gap)
            try await database.notify("Orders \"x\"", payload: "1")
            #expect(await events.next() == .notification(channel: "Orders \"x\"", payload: "1"))
            try await database.transaction {
                try await database.notify("Orders \"x\"", payload: "2")
                try await database.notify("Orders \"x\"", payload: "2")
            }
            #expect(await events.next() == .notification(channel: "Orders \"x\"", payload: "2"))
            _ = try await database.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            #expect(await events.next() == .gap)
            let tooLong = String(repeating: "x", count: 8000)
            #expect(await code { try await database.notify("a", payload: tooLong) } == .invalidArgument)
        }
    }
}
