import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable))
struct PostgresTransactionTests {
    private struct Stop: Error {}

    /// How many statements of the test's database sleep.
    private static let sleepingStatements: SQL = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'
        """

    private func withTable(
        parameters: String = "", _ body: (PostgresDatabase, TestPostgres) async throws -> Void
    ) async throws {
        try await withDatabase(parameters: parameters) { database, server async throws in
            try await database.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
            try await database.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
            try await body(database, server)
        }
    }

    @Test func `A transaction is committed, or rolled back when it throws`() async throws {
        try await withTable { database, _ async throws in
            try await database.transaction { try await database.execute("UPDATE t SET n = 1 WHERE id = 1") }
            await #expect(throws: Stop.self) {
                try await database.transaction {
                    try await database.execute("UPDATE t SET n = 2 WHERE id = 1")
                    throw Stop()
                }
            }
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 1)
            let nothing = try await database.transaction { 5 }
            #expect(nothing == 5)
        }
    }

    @Test func `A cancelled change cannot be ignored`() async throws {
        try await withTable { database, _ async throws in
            func run(_ sql: SQL) async -> StatusCode? {
                await code {
                    try await database.transaction {
                        try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                        let task = Task {
                            withUnsafeCurrentTask { $0?.cancel() }
                            _ = try await database.query(sql)
                        }
                        await #expect(throws: CancellationError.self) { try await task.value }
                    }
                }
            }
            let change = await run("UPDATE t SET n = 2 WHERE id = 2")
            #expect(change == .aborted)
            #expect(try await database.value("SELECT sum(n) FROM t") == 0)
        }
    }

    @Test func `A nested transaction joins, and its failure cannot be ignored`() async throws {
        try await withTable { database, _ async throws in
            let error = await code {
                try await database.transaction {
                    try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                    _ = try? await database.transaction { throw Stop() }
                }
            }
            #expect(error == .aborted)
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 0)
        }
    }

    @Test func `An ignored error of a statement fails the commit`() async throws {
        try await withTable { database, _ async throws in
            let error = await code {
                try await database.transaction {
                    try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                    _ = try? await database.query("SELECT 1 / 0")
                }
            }
            #expect(error == .aborted)
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 0)
        }
    }

    @Test func `Statements of child tasks are all part of the transaction`() async throws {
        try await withTable { database, _ async throws in
            await #expect(throws: Stop.self) {
                try await database.transaction {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for id in 10..<30 {
                            group.addTask { try await database.execute("INSERT INTO t VALUES (\(id), 0)") }
                        }
                        try await group.waitForAll()
                    }
                    throw Stop()
                }
            }
            #expect(try await database.value("SELECT count(*) FROM t") == 2)
        }
    }

    @Test func `A deadlock fails one of the transactions, which can be repeated`() async throws {
        try await withTable { database, _ async throws in
            let (first, second) = (Gate(), Gate())
            @Sendable func swap(_ a: Int, _ b: Int, _ mine: Gate, _ other: Gate) async throws {
                try await database.transaction {
                    try await database.execute("UPDATE t SET n = n + 1 WHERE id = \(a)")
                    mine.open()
                    try await other.wait()
                    try await database.execute("UPDATE t SET n = n + 1 WHERE id = \(b)")
                }
            }
            async let one = code {
                try await withDeadline(.after(.seconds(60))) { try await swap(1, 2, first, second) }
            }
            async let two = code {
                try await withDeadline(.after(.seconds(60))) { try await swap(2, 1, second, first) }
            }
            let codes = await [one, two]
            #expect(codes.contains(.aborted) && codes.contains(nil))
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 2)
        }
    }

    @Test func `Transactions beyond the limit wait in order, and the deadline says for what`() async throws {
        try await withTable(parameters: "pool_size=1") { database, _ async throws in
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = database.transaction {
                try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            do {
                try await withDeadline(.after(.milliseconds(50))) {
                    _ = try await database.transaction { try await database.execute("UPDATE t SET n = 2 WHERE id = 2") }
                }
                Issue.record("The transaction did not wait.")
            } catch {
                #expect(AppError(wrapping: error).code == .deadlineExceeded)
            }
            #expect(await database.detailedStatistics().waitingForExclusive == 0)
            release.open()
            try await holder
            #expect(try await database.value("SELECT n FROM t WHERE id = 2") == 0)
            try await database.transaction { try await database.execute("UPDATE t SET n = 3 WHERE id = 2") }
        }
    }

    @Test func `A deadline ends a wait for a lock, and the connection is used again`() async throws {
        try await withTable(parameters: "pool_size=2") { database, _ async throws in
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = database.transaction {
                try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            for _ in 0..<3 {
                let error = await code {
                    try await withDeadline(.after(.milliseconds(50))) {
                        _ = try await database.transaction {
                            try await database.execute("UPDATE t SET n = 2 WHERE id = 1")
                        }
                    }
                }
                #expect(error == .deadlineExceeded)
            }
            let waits: SQL = """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            try await withDeadline(.after(.seconds(120))) {
                while try await database.value(waits, as: Int.self) > 0 {}
            }
            release.open()
            try await holder
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 1)
            #expect(await database.detailedStatistics().exclusiveConnections <= 2)
        }
    }

    @Test func `A deadline cancels the statement on the server, and never the next one`() async throws {
        try await withTable(parameters: "shared_connections=1") { database, _ async throws in
            for _ in 0..<10 {
                async let slow = code {
                    try await withDeadline(.after(.milliseconds(20))) {
                        _ = try await database.query("SELECT pg_sleep(600)")
                    }
                }
                async let next = database.value("SELECT 5", as: Int.self)
                #expect(await slow == .deadlineExceeded)
                #expect(try await next == 5)
            }
            let running = Self.sleepingStatements
            // The statement of the last round may still be about to end.
            try await withDeadline(.after(.seconds(120))) {
                while try await database.value(running, as: Int.self) > 0 {}
            }
        }
    }

    @Test func `A statement that is known to be slow does not hold up others`() async throws {
        try await withTable(parameters: "shared_connections=1") { database, _ async throws in
            // How long a statement takes is learnt from its first execution on an event loop.
            for _ in 0..<4 { _ = try await database.query("SELECT pg_sleep(\(0.2))") }
            let slow = Task { try await database.query("SELECT pg_sleep(\(600.0))") }
            let running = Self.sleepingStatements
            try await withDeadline(.after(.seconds(120))) {
                while try await database.value(running, as: Int.self) == 0 {}
                for _ in 0..<20 { _ = try await database.query("SELECT 1") }
            }
            slow.cancel()
            _ = await slow.result
        }
    }

    @Test func `Statements that wait behind slow ones get connections of their own`() async throws {
        try await withTable(parameters: "shared_connections=1") { database, _ async throws in
            // Each of these is new, so none is known to be slow.
            let slow = (0..<4).map { number in
                Task { try await database.query(SQL(stringLiteral: "SELECT pg_sleep(600) /* \(number) */")) }
            }
            let running = Self.sleepingStatements
            try await withDeadline(.after(.seconds(120))) {
                while try await database.value(running, as: Int.self) == 0 {}
            }
            for task in slow { task.cancel() }
            for task in slow { _ = await task.result }
        }
    }

    @Test func `Actions after the commit run only if it succeeds`() async throws {
        try await withTable { database, _ async throws in
            let (committed, rolledBack) = (Gate(), Gate())
            let unitOfWork = UnitOfWork(database)
            try await unitOfWork.perform {
                try await database.execute("UPDATE t SET n = 1 WHERE id = 1")
                UnitOfWork.afterCommit { committed.open() }
            }
            try await committed.wait()
            _ = try? await unitOfWork.perform {
                UnitOfWork.afterCommit { rolledBack.open() }
                throw Stop()
            }
            let isOpen = await code {
                try await withDeadline(.after(.milliseconds(10))) { try await rolledBack.wait() }
            }
            #expect(isOpen == .deadlineExceeded)
        }
    }

    @Test func `Terminated connections are replaced, and nothing is half committed`() async throws {
        try await withTable(parameters: "pool_size=4&shared_connections=2") { database, server async throws in
            let name = try await database.value("SELECT current_database()", as: String.self)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<30 {
                            let error = await code {
                                try await database.transaction {
                                    try await database.execute("UPDATE t SET n = n + 1 WHERE id = 1")
                                    try await database.execute("UPDATE t SET n = n + 1 WHERE id = 2")
                                }
                            }
                            #expect(error == nil || error == .unavailable || error == .unknown)
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<5 {
                        try await server.psql(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
                    }
                }
                try await group.waitForAll()
            }
            while await code({ _ = try await database.query("SELECT 1") }) != nil {}
            let rows = try await database.query("SELECT n FROM t ORDER BY id")
            #expect(try rows[0].get(0, as: Int.self) == rows[1].get(0, as: Int.self))
            #expect(await database.detailedStatistics().exclusiveConnections <= 4)
        }
    }

    @Test func `A closed database refuses work`() async throws {
        try await withTable { database, _ async throws in
            await database.close()
            #expect(await code { _ = try await database.query("SELECT 1") } == .unavailable)
            #expect(
                await code { _ = try await database.transaction { try await database.execute("DELETE FROM t") } }
                    == .unavailable)
        }
    }
}
