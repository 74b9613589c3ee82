import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Testing

/// A primary and its hot standby, of which the second replaces the first.
@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(10)))
struct FailoverTests {
    private static let port: SQL = "SELECT inet_server_port()"

    private func withPair(_ body: (_ primary: TestPostgres, _ standby: TestPostgres) async throws -> Void) async throws
    {
        let primary = try await TestPostgres.start()
        do {
            let standby = try await primary.startStandby()
            do {
                try await body(primary, standby)
            } catch {
                await standby.stop()
                throw error
            }
            await standby.stop()
        } catch {
            await primary.stop()
            throw error
        }
        await primary.stop()
    }

    private func open(_ hosts: [TestPostgres], _ target: String) throws -> PostgresDatabase {
        let list = hosts.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        var configuration = try PostgresConfiguration(
            url: "postgres://postgres@\(list)/postgres?target_session_attrs=\(target)&pool_size=2")
        configuration.connectTimeout = .seconds(60)
        return try PostgresDatabase(configuration)
    }

    /// Returns the port of the server to which connections of a kind lead, or the code of the error.
    private func server(_ hosts: [TestPostgres], _ target: String) async throws -> Result<Int, AppError> {
        let database = try open(hosts, target)
        let result: Result<Int, AppError>
        do {
            result = .success(try await database.value(Self.port))
        } catch {
            result = .failure(AppError(wrapping: error))
        }
        await database.close()
        return result
    }

    @Test
    func `Of several hosts the one of the wanted kind is used, and the promoted standby when the primary is gone`()
        async throws
    {
        try await withPair { primary, standby async throws in
            for hosts in [[primary, standby], [standby, primary]] {
                for target in ["read-write", "primary"] {
                    #expect(try await server(hosts, target).get() == primary.port)
                }
                for target in ["standby", "read-only", "prefer-standby"] {
                    #expect(try await server(hosts, target).get() == standby.port)
                }
                #expect(try await server(hosts, "any").get() == hosts[0].port)
            }
            #expect(try await server([primary], "prefer-standby").get() == primary.port)
            #expect(await code { _ = try await self.server([primary], "standby").get() } == .unavailable)
            let database = try open([primary, standby], "read-write")
            try await Workload.prepare(database)
            let workload = Workload()
            try await workload.run(on: database) {
                try await workload.waitForProgress(20)
                workload.stop()
            }
            try await workload.check(database)
            let before = try await FaultScenario.write.effect(database)
            let written = try await primary.psql("SELECT pg_current_wal_lsn()")
            try await bounded {
                while try await standby.psql("SELECT pg_last_wal_replay_lsn() >= '\(written)'") != "t" {}
            }
            // A write on the standby is refused, and the connection is not used again.
            let reader = try open([standby], "any")
            #expect(await code { try await reader.execute("UPDATE t SET n = 0") } == .unavailable)
            try await bounded { while try await FaultScenario.write.effect(reader) != before {} }
            let listener = try open([primary, standby], "read-write")
            var events = listener.notifications(on: "orders").makeAsyncIterator()
            #expect(await events.next() == .gap)
            await primary.shutDown()
            #expect(await code { try await FaultScenario.write.run(on: database) } == .unavailable)
            try await standby.promote()
            try await bounded {
                while let error = await failure({ try await FaultScenario.transaction.run(on: database) }) {
                    guard error.code == .unavailable else { throw error }
                }
            }
            #expect(try await database.value(Self.port) == standby.port)
            let after = try await FaultScenario.write.effect(database)
            #expect(after.isWhole && after.commits == before.commits + 1)
            // So does the connection that listens.
            #expect(await events.next() == .gap)
            try await database.notify("orders", payload: "1")
            #expect(await events.next() == .notification(channel: "orders", payload: "1"))
            for database in [database, reader, listener] { await database.close() }
        }
    }

    @Test func `A server that stops accepting writes is left, and used again when it accepts them`() async throws {
        let server = try await TestPostgres.start()
        let database = try open([server], "read-write")
        try await Workload.prepare(database)
        func setReadOnly(_ value: String) async throws {
            try await server.psql("ALTER SYSTEM SET default_transaction_read_only = \(value)")
            try await server.psql("SELECT pg_reload_conf()")
            try await bounded { while try await server.psql("SHOW default_transaction_read_only") != value {} }
        }
        try await setReadOnly("on")
        try await bounded { while await code({ try await FaultScenario.write.run(on: database) }) != .unavailable {} }
        #expect(await code { try await FaultScenario.transaction.run(on: database) } == .unavailable)
        try await setReadOnly("off")
        for scenario in [FaultScenario.write, .transaction] {
            try await bounded { while await code({ try await scenario.run(on: database) }) != nil {} }
        }
        #expect(try await FaultScenario.write.effect(database).isWhole)
        await database.close()
        await server.stop()
    }
}
