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

    private func query(_ url: String, _ sql: SQL) async throws -> String {
        var configuration = try PostgresConfiguration(url: url)
        configuration.connectTimeout = .seconds(60)
        let database = try PostgresDatabase(configuration)
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

    @Test func `A server that does not start says why`() async throws {
        var options = TestPostgres.Options()
        options.settings = ["shared_preload_libraries": "no_such_library"]
        let error = await failure { await (try TestPostgres.start(options)).stop() }
        #expect(error?.code == .unavailable && error?.message.contains("no_such_library") == true)
    }

    @Test func `A server without encryption is used only where that is allowed`() async throws {
        let server = try await TestPostgres.shared()
        for mode in ["disable", "prefer"] {
            #expect(try await query(server.url(parameters: "sslmode=\(mode)"), "SELECT 'ok'") == "ok")
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            #expect(
                await code { _ = try await query(server.url(parameters: "sslmode=\(mode)"), "SELECT 'ok'") }
                    == .failedPrecondition)
        }
    }

    @Test func `An encrypted server is verified as far as the URL asks for`() async throws {
        let certificates = try TestCertificates()
        var options = TestPostgres.Options()
        options.authentication = "scram-sha-256"
        options.password = "pencil"
        options.settings = ["ssl": "on"]
        options.files = ["server.crt": certificates.server.certificate, "server.key": certificates.server.key]
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-authority-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (trusted, other) = (folder.appending(path: "trusted.pem").path, folder.appending(path: "other.pem").path)
        try Data(certificates.authority.utf8).write(to: URL(filePath: trusted))
        try Data(TestCertificates().authority.utf8).write(to: URL(filePath: other))
        try await withServer(options) { server async throws in
            func isEncrypted(_ parameters: String, host: String = "localhost") async throws -> Bool {
                let url = server.url(parameters: parameters).replacingOccurrences(of: "127.0.0.1", with: host)
                return try await query(url, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "true"
            }
            // SCRAM is bound to the certificate wherever the connection is encrypted.
            for mode in ["prefer", "require"] { #expect(try await isEncrypted("sslmode=\(mode)")) }
            #expect(try await isEncrypted("sslmode=disable") == false)
            for mode in ["require", "verify-ca", "verify-full"] {
                #expect(try await isEncrypted("sslmode=\(mode)&sslrootcert=\(trusted)"))
                #expect(
                    await code { _ = try await isEncrypted("sslmode=\(mode)&sslrootcert=\(other)") } == .unavailable)
            }
            #expect(try await isEncrypted("sslmode=verify-ca&sslrootcert=\(trusted)", host: "127.0.0.1"))
            let wrongHost = await code {
                _ = try await isEncrypted("sslmode=verify-full&sslrootcert=\(trusted)", host: "127.0.0.1")
            }
            #expect(wrongHost == .unavailable)
            #expect(
                await code { _ = try await isEncrypted("sslmode=verify-ca&sslrootcert=/none.pem") } == .invalidArgument)
            // A cancel request is encrypted as well.
            let database = try PostgresDatabase(PostgresConfiguration(url: server.url(parameters: "sslmode=require")))
            let slow = await code {
                try await withDeadline(.after(.milliseconds(300))) {
                    _ = try await database.query("SELECT pg_sleep(600)")
                }
            }
            #expect(slow == .deadlineExceeded)
            let sleeping =
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
            try await withDeadline(.after(.seconds(120))) {
                while try await database.value(SQL(stringLiteral: sleeping), as: Int.self) > 0 {}
            }
            await database.close()
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
        async let interrupted = code { _ = try await database.query("SELECT pg_sleep(600)") }
        while try await first.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") == "0" {
        }
        await first.stop()
        #expect(await interrupted == .unavailable)
        #expect(await code { _ = try await database.query("SELECT 1") } == .unavailable)
        await database.close()
    }

    @Test func `The settings of the session are those of the URL`() async throws {
        let server = try await TestPostgres.shared()
        let url = server.url(
            parameters: "statement_timeout=1500ms&application_name=my%20app&plan_cache_mode=force_custom_plan")
        #expect(try await query(url, "SHOW statement_timeout") == "1500ms")
        #expect(try await query(url, "SHOW application_name") == "my app")
        #expect(try await query(url, "SHOW TimeZone") == "UTC")
        #expect(try await query(url, "SHOW plan_cache_mode") == "force_custom_plan")
    }
}
