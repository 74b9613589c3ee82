import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Logging
import Synchronization
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct PostgresObservationTests {
    @Test func `The statistics count the connections, and what waits for one`() async throws {
        try await withDatabase(parameters: "pool_size=1") { database, _ async throws in
            #expect(database.statistics == DatabaseStatistics())
            _ = try await database.query("SELECT 1")
            #expect(database.statistics.connections >= 1 && database.statistics.waiting == 0)
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = database.transaction {
                _ = try await database.query("SELECT 1")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            async let waiter = database.transaction { try await database.value("SELECT 2", as: Int.self) }
            while database.statistics.waiting == 0 { await Task.yield() }
            #expect(database.statistics.waiting == 1)
            release.open()
            try await holder
            #expect(try await waiter == 2)
            #expect(database.statistics.waiting == 0)
            await database.close()
            #expect(database.statistics.waiting == 0)
        }
    }

    @Test func `A database is healthy while its server answers`() async throws {
        let server = try await TestPostgres.start()
        let database = try PostgresDatabase(PostgresConfiguration(url: server.url(parameters: "connect_timeout=60")))
        try await onOneLoop {
            // A check that has to connect first may take too long while other tests run.
            _ = try await database.query("SELECT 1")
            try await database.checkHealth()
        }
        await server.stop()
        #expect(await code { try await database.checkHealth() } == .unavailable)
        await database.close()
        #expect(await code { try await database.checkHealth() } == .unavailable)
    }

    @Test func `Each statement is logged with its rows and without its values`() async throws {
        let server = try await TestPostgres.shared()
        let lines = LogLines(level: .debug)
        var configuration = try PostgresConfiguration(url: server.url(parameters: "connect_timeout=60"))
        // Slow statements are logged as warnings.
        configuration.slowQuery = .seconds(600)
        let database = try PostgresDatabase(configuration, log: Logger(label: "test") { _ in lines })
        _ = try await database.query("SELECT \("secret") FROM generate_series(1, 3)")
        try await database.transaction { _ = try await database.query("SELECT \("hidden")") }
        try await database.change(reading: "SELECT 'a'") { _ in Change(["SELECT 'b'"], returning: ()) }
        try await database.stream("SELECT generate_series(1, 100)") { rows in for try await _ in rows {} }
        await database.close()
        func has(_ rows: Int, _ sql: String) -> Bool {
            lines.all.contains { $0.hasPrefix("debug query duration_ms=") && $0.hasSuffix(" rows=\(rows) sql=\(sql)") }
        }
        #expect(has(3, "SELECT $1 FROM generate_series(1, 3)"))
        #expect(has(1, "SELECT $1") && has(1, "SELECT 'a'") && has(1, "SELECT 'b'"))
        #expect(has(100, "SELECT generate_series(1, 100)"))
        #expect(!lines.all.contains { $0.contains("secret") || $0.contains("hidden") })
    }

    @Test func `A slow statement is a warning`() async throws {
        let server = try await TestPostgres.shared()
        let lines = LogLines()
        var configuration = try PostgresConfiguration(url: server.url(parameters: "connect_timeout=60"))
        configuration.slowQuery = .milliseconds(30)
        let database = try PostgresDatabase(configuration, log: Logger(label: "test") { _ in lines })
        _ = try await database.query("SELECT pg_sleep(0.05)")
        await database.close()
        #expect(lines.all.contains { $0.hasPrefix("warning slow query") && $0.contains("pg_sleep") })
    }

    @Test func `The engine applies the settings of the app`() async throws {
        let slowQuery = Mutex<Duration?>(nil)
        let engine = PostgresEngine { configuration in slowQuery.withLock { $0 = configuration.slowQuery } }
        var settings = DatabaseSettings()
        settings.slowQuery = .seconds(7)
        await (try engine.open("postgres://user@localhost/app", settings)).close()
        #expect(slowQuery.withLock { $0 } == .seconds(7))
        await (try engine.open("postgres://user@localhost/app")).close()
        #expect(slowQuery.withLock { $0 } == .milliseconds(500))
    }
}
