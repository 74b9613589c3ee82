import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Logging
import Testing

/// A connection pooler in transaction mode: the statements of a client run on any of its server connections.
@Suite(.enabled(if: TestPostgres.isAvailable && TestPgBouncer.isAvailable), .serialized, .timeLimit(.minutes(10)))
struct PgBouncerTests {
    private func withPooler(
        settings: [String: String] = [:], parameters: String = "", isDirect: Bool = true, log: LogLines = LogLines(),
        _ body: (PostgresDatabase, TestPostgres) async throws -> Void
    ) async throws {
        let server = try await TestPostgres.shared()
        let name = try await server.createDatabase()
        let pooler = try await TestPgBouncer.start(before: server, settings: settings)
        let direct = isDirect ? "&direct_host=127.0.0.1:\(server.port)" : ""
        let configuration = try PostgresConfiguration(
            url: "postgres://postgres@127.0.0.1:\(pooler.port)/\(name)?connect_timeout=60\(direct)&\(parameters)")
        let database = try PostgresDatabase(configuration, log: Logger(label: "test") { _ in log })
        try await database.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        try await database.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        try await database.execute("CREATE TABLE copied (id int)")
        try await body(database, server)
        await database.close()
        await pooler.stop()
    }

    /// Runs statements and transactions of many tasks.
    private func work(_ database: PostgresDatabase) async -> [AppError] {
        await withTaskGroup(of: AppError?.self) { group in
            for number in 0..<300 {
                group.addTask {
                    await failure {
                        switch number % 3 {
                        case 0:
                            let row = try await database.query("SELECT \(number)::int AS a, \("t\(number)") AS b")[0]
                            #expect(try row.get("a", as: Int.self) == number)
                            #expect(try row.get("b", as: String.self) == "t\(number)")
                        // One row each: a statement that locks both, in an order of the server's, could deadlock.
                        case 1: try await database.execute("UPDATE t SET n = n + \(1) WHERE id = \(number % 2 + 1)")
                        default:
                            try await database.transaction {
                                for id in 1...2 {
                                    try await database.execute("UPDATE t SET n = n + \(1) WHERE id = \(id)")
                                }
                            }
                        }
                    }
                }
            }
            return await group.reduce(into: []) { errors, error in if let error { errors.append(error) } }
        }
    }

    @Test(arguments: [
        ([:], "prepare=off"), ([:], ""), (["ignore_startup_parameters": "extra_float_digits"], "statement_timeout=60s"),
        (["server_reset_query_always": "1", "default_pool_size": "8"], ""),
    ])
    func `Statements and transactions of many tasks work through a pooler`(
        settings: [String: String], parameters: String
    ) async throws {
        try await withPooler(settings: settings, parameters: parameters) { database, _ async throws in
            var errors = await work(database).map { String(reflecting: $0) }
            #expect(errors.isEmpty, "\(errors)")
            let row = try await database.query("SELECT min(n), max(n) FROM t")[0]
            #expect(try row.get(0, as: Int.self) == 150 && row.get(1, as: Int.self) == 150)
            errors = await work(database).map { String(reflecting: $0) }
            #expect(errors.isEmpty, "\(errors)")
        }
    }

    @Test func `Streams, copies, changes and savepoints work through a pooler`() async throws {
        try await withPooler { database, _ async throws in
            for scenario in FaultScenario.allCases {
                for _ in 0..<3 {
                    let error = await failure { try await bounded { try await scenario.run(on: database) } }
                    #expect(error == nil, "\(scenario): \(String(reflecting: error))")
                }
            }
        }
    }

    @Test func `A deadline cancels through a pooler, and never the next statement`() async throws {
        try await withPooler(settings: ["default_pool_size": "2"]) { database, server async throws in
            for _ in 0..<5 {
                let error = await failure {
                    try await withDeadline(.after(.milliseconds(100))) {
                        _ = try await database.query("SELECT pg_sleep(600)")
                    }
                }
                #expect(error?.code == .deadlineExceeded)
                #expect(try await database.value("SELECT 5", as: Int.self) == 5)
            }
            let name = try await database.value("SELECT current_database()", as: String.self)
            let sleeping =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(name)' AND state = 'active' AND query LIKE 'SELECT pg_sleep%'"
            try await bounded { while try await server.psql(sleeping) != "0" {} }
        }
    }

    @Test func `Notifications and migrations go past a pooler to the direct hosts`() async throws {
        try await withPooler { database, _ async throws in
            var events = database.notifications(on: "orders").makeAsyncIterator()
            #expect(await events.next() == .gap)
            try await database.notify("orders", payload: "1")
            #expect(await events.next() == .notification(channel: "orders", payload: "1"))
            let result = try await database.withMigrationLock {
                try await database.transaction { try await database.value("SELECT 7", as: Int.self) }
            }
            #expect(result == 7)
        }
    }

    @Test func `Without a direct host, migrations are refused and a listener says in the log that it hears nothing`()
        async throws
    {
        let lines = LogLines()
        try await withPooler(isDirect: false, log: lines) { database, _ async throws in
            let error = await failure { try await database.withMigrationLock {} }
            #expect(error?.code == .failedPrecondition && error?.message.contains("direct_host") == true)
            var events = database.notifications(on: "orders").makeAsyncIterator()
            #expect(await events.next() == .gap)
            #expect(
                lines.all.contains { $0.hasPrefix("error notifications do not arrive through a connection pooler") })
        }
    }

    @Test func `Statements stay prepared through a pooler that keeps track of them`() async throws {
        guard try await !TestPgBouncer.version().lexicographicallyPrecedes([1, 21]) else {
            print("Skipping a test: this version of PgBouncer does not keep track of prepared statements.")
            return
        }
        let settings = ["max_prepared_statements": "100"]
        try await withPooler(settings: settings, parameters: "prepare=on") { database, _ async throws in
            let errors = await work(database).map { String(reflecting: $0) }
            #expect(errors.isEmpty, "\(errors)")
            #expect(try await database.value("SELECT count(*) > 0 FROM pg_prepared_statements", as: Bool.self))
        }
    }

    @Test func `Statements that a pooler does not know are prepared again, if that is asked for`() async throws {
        try await withPooler(parameters: "prepare=on") { database, _ async throws in
            for number in 0..<200 { #expect(try await database.value("SELECT \(number)::int", as: Int.self) == number) }
        }
    }
}
