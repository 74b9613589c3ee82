import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Testing

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct RoundTripTests {
    /// Returns how many round trips a closure takes once its statements are prepared.
    private func roundTrips(_ body: (PostgresDatabase) async throws -> Void) async throws -> Int {
        let server = try await TestPostgres.shared()
        let name = try await server.createDatabase()
        try await server.psql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)", database: name)
        let proxy = try await RoundTripProxy.start(to: server.port)
        let parameters = "sslmode=disable&pool_size=1&shared_connections=1&connect_timeout=60"
        let url = "postgres://postgres@127.0.0.1:\(proxy.port)/\(name)?\(parameters)"
        let database = try PostgresDatabase(PostgresConfiguration(url: url))
        // Each event loop has connections of its own.
        let count = try await onOneLoop {
            for _ in 0..<2 { try await body(database) }
            let before = proxy.roundTrips
            try await body(database)
            return proxy.roundTrips - before
        }
        await database.close()
        try await proxy.close()
        return count
    }

    @Test func `A change takes two round trips, however many statements it has`() async throws {
        let count = try await roundTrips { database in
            try await database.change(reading: "SELECT n FROM t WHERE id = 1\(SQL.rowLock)") { rows in
                let n = try rows[0].get(0, as: Int.self) + 1
                return Change(
                    [
                        "UPDATE t SET n = \(n) WHERE id = 1", "DELETE FROM t WHERE id > 1",
                        "INSERT INTO t VALUES (2, \(n))",
                    ], returning: ())
            }
        }
        #expect(count == 2)
    }

    @Test func `A transaction takes one round trip for each statement, and one for its end`() async throws {
        let count = try await roundTrips { database in
            try await database.transaction(.snapshot) {
                _ = try await database.query("SELECT n FROM t")
                _ = try await database.query("SELECT id FROM t")
            }
        }
        #expect(count == 3)
    }

    @Test func `A batch takes one round trip, also as the first statement of a transaction`() async throws {
        let batch: [SQL] = ["SELECT n FROM t WHERE id = 1", "UPDATE t SET n = 1", "SELECT id FROM t"]
        #expect(try await roundTrips { database in _ = try await database.batch(batch) } == 1)
        let count = try await roundTrips { database in
            try await database.transaction { _ = try await database.batch(batch) }
        }
        #expect(count == 2)
    }

    @Test func `A transaction without statements takes no round trip`() async throws {
        #expect(try await roundTrips { database in try await database.transaction {} } == 0)
    }

    @Test func `A change inside a transaction takes two round trips`() async throws {
        let count = try await roundTrips { database in
            try await database.transaction {
                try await database.change(reading: "SELECT n FROM t WHERE id = 1\(SQL.rowLock)") { _ in
                    Change(["UPDATE t SET n = 1 WHERE id = 1", "UPDATE t SET n = 2 WHERE id = 1"], returning: ())
                }
            }
        }
        #expect(count == 3)
    }
}
