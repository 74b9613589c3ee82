import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Foundation
import Testing

/// Tests that need a server of their own.
@Suite(.enabled(if: TestPostgres.isAvailable))
struct PostgresServerTests {
    private func withServer(
        _ options: TestPostgres.Options, _ body: (TestPostgres) async throws -> Void
    ) async throws {
        let server = try await TestPostgres.start(options)
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private func query(_ url: String, _ sql: SQL, as: String.Type = String.self) async throws -> String {
        let database = try PostgresDatabase(PostgresConfiguration(url: url))
        do {
            let value = try await database.value(sql, as: String.self)
            await database.close()
            return value
        } catch {
            await database.close()
            throw error
        }
    }

    @Test(arguments: ["scram-sha-256", "md5", "password"])
    func `Each method of authentication accepts the password and no other`(method: String) async throws {
        var options = TestPostgres.Options()
        options.authentication = method
        options.password = "pencil"
        if method == "md5" { options.settings["password_encryption"] = "md5" }
        try await withServer(options) { server async throws in
            #expect(try await query(server.url(), "SELECT 'ok'") == "ok")
            let wrong = server.url().replacingOccurrences(of: "pencil", with: "wrong")
            #expect(await code { _ = try await query(wrong, "SELECT 'ok'") } == .internal)
            let none = server.url().replacingOccurrences(of: ":pencil", with: "")
            #expect(await code { _ = try await query(none, "SELECT 'ok'") } == .failedPrecondition)
        }
    }

    @Test func `A server without encryption is used only where that is allowed`() async throws {
        let server = try await TestPostgres.shared()
        for mode in ["disable", "prefer"] {
            #expect(try await query(server.url(parameters: "sslmode=\(mode)"), "SELECT 'ok'") == "ok")
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            #expect(await code { _ = try await query(server.url(parameters: "sslmode=\(mode)"), "SELECT 'ok'") } == .failedPrecondition)
        }
    }

    @Test func `A Unix socket is a host`() async throws {
        let server = try await TestPostgres.shared()
        let folder = server.folder.replacingOccurrences(of: "/", with: "%2F")
        #expect(try await query("postgres://postgres@\(folder):\(server.port)/postgres", "SELECT 'ok'") == "ok")
    }

    @Test func `The next host is tried, and the kind of the server is checked`() async throws {
        let server = try await TestPostgres.shared()
        try await withReservedPort { port async throws in
            let hosts = "postgres://postgres@127.0.0.1:\(port),127.0.0.1:\(server.port)/postgres?target_session_attrs="
            for target in ["any", "read-write", "primary", "prefer-standby"] {
                #expect(try await query(hosts + target, "SELECT 'ok'") == "ok")
            }
            for target in ["read-only", "standby"] {
                #expect(await code { _ = try await query(hosts + target, "SELECT 'ok'") } == .unavailable)
            }
        }
    }

    @Test func `An unreachable server fails all who wait`() async throws {
        try await withReservedPort { port async throws in
            let database = try PostgresDatabase(PostgresConfiguration(url: "postgres://postgres@127.0.0.1:\(port)/x"))
            await withTaskGroup(of: StatusCode?.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        await code {
                            if number % 2 == 0 {
                                _ = try await database.query("SELECT 1")
                            } else {
                                try await database.transaction { _ = try await database.query("SELECT 1") }
                            }
                        }
                    }
                }
                for await code in group { #expect(code == .unavailable) }
            }
            await database.close()
        }
    }

    @Test func `After a restart of the server the database works again by itself`() async throws {
        var options = TestPostgres.Options()
        options.settings["max_connections"] = "20"
        let first = try await TestPostgres.start(options)
        let database = try PostgresDatabase(PostgresConfiguration(url: first.url()))
        async let interrupted = code { _ = try await database.query("SELECT pg_sleep(60)") }
        while try await first.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") == "0" {}
        await first.stop()
        #expect(await interrupted == .unavailable)
        #expect(await code { _ = try await database.query("SELECT 1") } == .unavailable)
        await database.close()
    }

    @Test func `The settings of the session are those of the URL`() async throws {
        let server = try await TestPostgres.shared()
        let url = server.url(parameters: "statement_timeout=1500ms&application_name=my%20app&plan_cache_mode=force_custom_plan")
        #expect(try await query(url, "SHOW statement_timeout") == "1500ms")
        #expect(try await query(url, "SHOW application_name") == "my app")
        #expect(try await query(url, "SHOW TimeZone") == "UTC")
        #expect(try await query(url, "SHOW plan_cache_mode") == "force_custom_plan")
    }
}
