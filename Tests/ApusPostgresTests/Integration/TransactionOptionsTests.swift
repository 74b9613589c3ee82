import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Synchronization
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct TransactionOptionsTests {
    private struct Stop: Error {}

    private func withTable(
        parameters: String = "",
        _ body: (PostgresDatabase, _ psql: (String) async throws -> String) async throws -> Void
    ) async throws {
        try await withDatabase(parameters: parameters) { database, server async throws in
            try await database.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
            try await database.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
            let name = try await database.value("SELECT current_database()", as: String.self)
            try await body(database) { try await server.psql($0, database: name) }
        }
    }

    /// Makes each commit that changes the table end its own connection.
    private func endConnectionsAtCommit(_ database: PostgresDatabase) async throws {
        try await database.execute(
            """
            CREATE FUNCTION end_connection() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END'
            """)
        try await database.execute(
            """
            CREATE CONSTRAINT TRIGGER ends AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION end_connection()
            """)
    }

    @Test func `The options are those of the transaction on the server`() async throws {
        try await withTable { database, _ async throws in
            let query: SQL = """
                SELECT concat_ws(', ', current_setting('transaction_isolation'),
                current_setting('transaction_read_only'), current_setting('transaction_deferrable'))
                """
            func settings(_ isolation: TransactionOptions.Isolation?, isReadOnly: Bool) async throws -> String {
                var options = TransactionOptions()
                options.isolation = isolation
                options.isReadOnly = isReadOnly
                return try await database.transaction(options) { try await database.value(query) }
            }
            #expect(try await settings(nil, isReadOnly: false) == "read committed, off, off")
            #expect(try await settings(nil, isReadOnly: true) == "read committed, on, off")
            #expect(try await settings(.repeatableRead, isReadOnly: true) == "repeatable read, on, off")
            #expect(try await settings(.serializable, isReadOnly: false) == "serializable, off, off")
            #expect(try await settings(.serializable, isReadOnly: true) == "serializable, on, on")
            #expect(try await settings(nil, isReadOnly: false) == "read committed, off, off")
        }
    }

    @Test func `A snapshot sees one moment, and cannot write`() async throws {
        try await withTable(parameters: "pool_size=1") { database, psql async throws in
            let pid: SQL = "SELECT pg_backend_pid()"
            let before = try await database.transaction { try await database.value(pid, as: Int.self) }
            try await database.transaction(.snapshot) {
                #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 0)
                _ = try await psql("UPDATE t SET n = 5")
                #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 0)
            }
            let error = await code {
                try await database.transaction(.snapshot) { _ = try await database.execute("UPDATE t SET n = 6") }
            }
            #expect(error == .failedPrecondition)
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 5)
            // The mistake has not cost the connection.
            #expect(try await database.transaction { try await database.value(pid, as: Int.self) } == before)
        }
    }

    @Test func `A retryable transaction runs again after a serialization failure`() async throws {
        try await withTable { database, psql async throws in
            var options = TransactionOptions.retryable
            options.isolation = .repeatableRead
            let attempts = Counter()
            try await database.transaction(options) {
                attempts.increment()
                let isFirst = attempts.value == 1
                let n = try await database.value("SELECT n FROM t WHERE id = 1", as: Int.self)
                if isFirst { _ = try await psql("UPDATE t SET n = n + 10 WHERE id = 1") }
                try await database.execute("UPDATE t SET n = \(n + 1) WHERE id = 1")
            }
            #expect(attempts.value == 2)
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 11)
        }
    }

    @Test func `Retryable transactions survive a deadlock`() async throws {
        try await withTable { database, _ async throws in
            let (first, second) = (Gate(), Gate())
            @Sendable func add(_ a: Int, _ b: Int, _ mine: Gate, _ other: Gate) async throws {
                try await database.transaction(.retryable) {
                    try await database.execute("UPDATE t SET n = n + 1 WHERE id = \(a)")
                    mine.open()
                    try await other.wait()
                    try await database.execute("UPDATE t SET n = n + 1 WHERE id = \(b)")
                }
            }
            async let one: Void = add(1, 2, first, second)
            async let two: Void = add(2, 1, second, first)
            _ = try await (one, two)
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 4)
        }
    }

    @Test func `A transaction is not run again if it is unknown whether it was committed`() async throws {
        try await withTable { database, _ async throws in
            try await endConnectionsAtCommit(database)
            let attempts = Counter()
            let error = await code {
                try await database.transaction(.retryable) {
                    attempts.increment()
                    try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                }
            }
            #expect(error == .unknown && attempts.value == 1)
        }
    }

    @Test func `A change is not run again if it is unknown whether it was committed`() async throws {
        try await withTable { database, _ async throws in
            try await endConnectionsAtCommit(database)
            let attempts = Counter()
            let error = await code {
                try await database.change(reading: "SELECT 1") { _ in
                    attempts.increment()
                    return Change(["UPDATE t SET n = 1 WHERE id = 1"], returning: ())
                }
            }
            #expect(error == .unknown && attempts.value == 1)
        }
    }

    // MARK: Savepoints

    @Test func `A savepoint that fails is undone, and the transaction around it goes on`() async throws {
        try await withTable { database, _ async throws in
            try await database.transaction {
                try await database.transaction(.savepoint) {
                    _ = try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                }
                for _ in 0..<3 {
                    let error = await code {
                        try await database.transaction(.savepoint) {
                            try await database.execute("UPDATE t SET n = 9 WHERE id = 2")
                            try await database.execute("INSERT INTO t VALUES (1, 0)")
                        }
                    }
                    #expect(error == .alreadyExists)
                }
                try await database.execute("INSERT INTO t VALUES (3, 3)")
            }
            let rows = try await database.query("SELECT n FROM t ORDER BY id")
            #expect(try rows.map { try $0.get(0, as: Int.self) } == [1, 0, 3])
        }
    }

    @Test func `A transaction goes on after a savepoint whose statement was cancelled`() async throws {
        try await withTable { database, _ async throws in
            try await database.transaction {
                try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                for _ in 0..<5 {
                    let error = await code {
                        try await database.transaction(.savepoint) {
                            try await withDeadline(.after(.milliseconds(20))) {
                                _ = try await database.query("SELECT pg_sleep(60)")
                            }
                        }
                    }
                    #expect(error == .deadlineExceeded)
                }
                try await database.execute("UPDATE t SET n = 2 WHERE id = 2")
            }
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 3)
        }
    }

    // MARK: Changes

    @Test func `Parallel changes are not lost`() async throws {
        try await withTable(parameters: "pool_size=4") { database, _ async throws in
            let results = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        try await database.change(reading: "SELECT n FROM t WHERE id = 1\(SQL.rowLock)") { rows in
                            let n = try rows[0].get(0, as: Int.self) + 1
                            return Change(["UPDATE t SET n = \(n) WHERE id = 1"], returning: n)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.sorted() == Array(1...200))
        }
    }

    @Test func `A change that fails changes nothing, and its connection is used again`() async throws {
        try await withTable(parameters: "pool_size=1") { database, _ async throws in
            @Sendable func change(_ statements: [SQL], fails: Bool = false) async -> StatusCode? {
                await code {
                    try await database.change(reading: "SELECT 1") { _ in
                        if fails { throw AppError(.resourceExhausted, "No.") }
                        return Change(statements, returning: ())
                    }
                }
            }
            let pid: SQL = "SELECT pg_backend_pid()"
            let before = try await database.transaction { try await database.value(pid, as: Int.self) }
            let update: SQL = "UPDATE t SET n = n + 1"
            #expect(await change([update], fails: true) == .resourceExhausted)
            #expect(await change([update, "INSERT INTO t VALUES (1, 0)", update]) == .alreadyExists)
            #expect(await change([update, "SELECT \("a\0b")"]) == .invalidArgument)
            #expect(await change([update, "COMMIT"]) == .internal)
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 0)
            #expect(await change([]) == nil)
            #expect(await change([update, update]) == nil)
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 4)
            #expect(try await database.transaction { try await database.value(pid, as: Int.self) } == before)
        }
    }

    @Test func `A change joins the transaction of its task`() async throws {
        try await withTable { database, _ async throws in
            @Sendable func change() async throws {
                try await database.change(reading: "SELECT n FROM t WHERE id = 1\(SQL.rowLock)") { rows in
                    let n = try rows[0].get(0, as: Int.self) + 1
                    return Change(
                        ["UPDATE t SET n = \(n) WHERE id = 1", "UPDATE t SET n = \(n) WHERE id = 2"], returning: ())
                }
            }
            await #expect(throws: Stop.self) {
                try await database.transaction {
                    try await change()
                    try await change()
                    #expect(try await database.value("SELECT sum(n)::int FROM t") == 4)
                    throw Stop()
                }
            }
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 0)
            try await database.transaction { try await change() }
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 2)
        }
    }

    @Test func `A change ends at its deadline, also while one of its writes waits for a lock`() async throws {
        try await withTable { database, _ async throws in
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = database.transaction {
                try await database.execute("UPDATE t SET n = 1 WHERE id = 2")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            let error = await code {
                try await withDeadline(.after(.milliseconds(100))) {
                    try await database.change(reading: "SELECT n FROM t WHERE id = 1\(SQL.rowLock)") { _ in
                        Change(["UPDATE t SET n = 5 WHERE id = 1", "UPDATE t SET n = 5 WHERE id = 2"], returning: ())
                    }
                }
            }
            #expect(error == .deadlineExceeded)
            release.open()
            try await holder
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 1)
        }
    }

    private final class Counter: Sendable {
        private let count = Atomic(0)
        var value: Int { count.load(ordering: .relaxed) }
        func increment() { count.add(1, ordering: .relaxed) }
    }
}
