import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Testing

/// Servers that restart, end connections, or are replaced by another one.
@Suite(.enabled(if: TestPostgres.isAvailable), .serialized, .timeLimit(.minutes(10)))
struct ServerFaultTests {
    private func open(_ url: String) throws -> PostgresDatabase {
        var configuration = try PostgresConfiguration(url: url)
        configuration.connectTimeout = .seconds(60)
        return try PostgresDatabase(configuration)
    }

    /// Runs a statement until it succeeds.
    private func untilAvailable(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await bounded {
            while let error = await failure(body) {
                guard error.code == .unavailable || error.code == .unknown else { throw error }
            }
        }
    }

    @Test func `A restart of the server fails what runs, loses nothing that was committed, and needs no action`()
        async throws
    {
        let server = try await TestPostgres.start()
        let database = try open(server.url(parameters: "pool_size=4"))
        try await Workload.prepare(database)
        let workload = Workload()
        try await workload.run(on: database) {
            for _ in 0..<2 {
                try await workload.waitForProgress()
                try await server.restart()
            }
            try await workload.waitForProgress()
            workload.stop()
        }
        try await workload.check(database)
        await database.close()
        await server.stop()
    }

    @Test
    func `A statement that runs when the server shuts down is unavailable, and the next one after the restart works`()
        async throws
    {
        let server = try await TestPostgres.start()
        let database = try open(server.url())
        let sleeping = Task { await code { _ = try await database.query("SELECT pg_sleep(600)") } }
        let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        while try await server.psql(count) == "0" {}
        await server.shutDown()
        #expect(await sleeping.value == .unavailable)
        #expect(await code { _ = try await database.query("SELECT 1") } == .unavailable)
        #expect(
            await code { try await database.transaction { _ = try await database.query("SELECT 1") } } == .unavailable)
        try await server.restart()
        try await untilAvailable { _ = try await database.query("SELECT 1") }
        #expect(try await database.transaction { try await database.value("SELECT 2", as: Int.self) } == 2)
        await database.close()
        await server.stop()
    }

    @Test func `Connections that are terminated under 16 tasks lose nothing that was committed`() async throws {
        try await withDatabase(parameters: "pool_size=4") { database, server async throws in
            try await Workload.prepare(database)
            let name = try await database.value("SELECT current_database()", as: String.self)
            let workload = Workload()
            try await workload.run(on: database) {
                for _ in 0..<8 {
                    try await workload.waitForProgress(20)
                    try await server.psql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
                }
                try await workload.waitForProgress(20)
                workload.stop()
            }
            try await workload.check(database)
        }
    }

    @Test func `A transaction whose connection ends between its statements is not reported as committed`() async throws
    {
        try await withDatabase(parameters: "pool_size=1") { database, server async throws in
            try await Workload.prepare(database)
            let error = await failure {
                try await database.transaction {
                    try await database.execute("UPDATE t SET n = 1")
                    let pid = try await database.value("SELECT pg_backend_pid()", as: Int.self)
                    try await server.psql("SELECT pg_terminate_backend(\(pid))")
                    while await database.detailedStatistics().exclusiveConnections > 0 {}
                }
            }
            #expect(error?.code == .unavailable)
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 0)
            // The same if the error of a statement is ignored.
            let ignored = await failure {
                try await database.transaction {
                    try await database.execute("UPDATE t SET n = 1")
                    _ = await failure { _ = try await database.query("SELECT pg_terminate_backend(pg_backend_pid())") }
                }
            }
            #expect(ignored?.code == .unavailable)
            #expect(try await database.value("SELECT sum(n)::int FROM t") == 0)
        }
    }

    @Test func `A deadline that passes while all connections are in use says that it waited for one`() async throws {
        try await withDatabase(parameters: "pool_size=1") { database, _ async throws in
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = database.transaction {
                _ = try await database.query("SELECT 1")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            let error = await failure {
                try await withDeadline(.after(.milliseconds(50))) {
                    _ = try await database.transaction { try await database.query("SELECT 1") }
                }
            }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.message.contains("waited for the database") == true)
            #expect(String(reflecting: error).contains("one of 1 connections"))
            release.open()
            try await holder
            #expect(database.statistics.waiting == 0)
        }
    }

    @Test func `A deadline during a wait for a lock ends the wait on the server, and not the next statement`()
        async throws
    {
        try await withDatabase(parameters: "pool_size=1") { database, server async throws in
            try await Workload.prepare(database)
            let name = try await database.value("SELECT current_database()", as: String.self)
            let other = try open(server.url(database: name))
            let pid: SQL = "SELECT pg_backend_pid()"
            let before = try await database.transaction { try await database.value(pid, as: Int.self) }
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = other.transaction {
                try await other.execute("UPDATE t SET n = 1 WHERE id = 1")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            let locks: SQL = """
                SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                WHERE datname = current_database() AND NOT granted
                """
            for round in 0..<10 {
                let error = await failure {
                    try await withDeadline(.after(.milliseconds(30))) {
                        _ = try await database.transaction {
                            try await database.execute("UPDATE t SET n = 2 WHERE id = 1")
                        }
                    }
                }
                #expect(error?.code == .deadlineExceeded)
                // The connection is given back when nothing can hit its next statement any more.
                let next = try await database.transaction {
                    try await database.execute("UPDATE t SET n = \(round) WHERE id = 2")
                    return try await database.value(pid, as: Int.self)
                }
                #expect(next == before)
                #expect(try await other.value(locks, as: Int.self) == 0)
            }
            release.open()
            try await holder
            #expect(try await database.value("SELECT n FROM t WHERE id = 1") == 1)
            await other.close()
        }
    }
}
