import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Foundation
import Testing

/// A server that accepts some databases only with encryption, without it, or with a certificate of the client.
@Suite(.enabled(if: TestPostgres.isAvailable))
struct EncryptionTests {
    private static let rules = """
        host      postgres  all 127.0.0.1/32 trust
        hostssl   encrypted all 127.0.0.1/32 scram-sha-256
        hostssl   trusting  all 127.0.0.1/32 trust
        hostnossl plain     all 127.0.0.1/32 trust
        hostssl   certified all 127.0.0.1/32 cert

        """

    private func withServer(
        _ certificates: TestCertificates, _ body: (TestPostgres, _ folder: URL) async throws -> Void
    ) async throws {
        var options = TestPostgres.Options()
        options.password = "pencil"
        options.settings = ["ssl": "on", "ssl_ca_file": "authority.crt"]
        options.files = [
            "server.crt": certificates.server.certificate, "server.key": certificates.server.key,
            "authority.crt": certificates.authority, "pg_hba.conf": Self.rules,
        ]
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-certificates-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = try await TestPostgres.start(options)
        do {
            for name in ["encrypted", "trusting", "plain", "certified"] {
                try await server.psql("CREATE DATABASE \(name)")
            }
            try await body(server, folder)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    /// Whether the server says that a connection is encrypted.
    private func isEncrypted(_ server: TestPostgres, _ name: String, _ parameters: String) async throws -> Bool {
        let url = server.url(database: name, parameters: "connect_timeout=60&\(parameters)")
            .replacingOccurrences(of: "127.0.0.1", with: "localhost")
        let database = try PostgresDatabase(PostgresConfiguration(url: url))
        let result: Result<Bool, any Error>
        do {
            result = .success(
                try await database.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", as: Bool.self))
        } catch {
            result = .failure(error)
        }
        await database.close()
        return try result.get()
    }

    @Test func `A connection that the server refuses is tried the other way where the mode allows that`() async throws {
        try await withServer(TestCertificates()) { server, _ async throws in
            #expect(try await isEncrypted(server, "postgres", "sslmode=allow") == false)
            #expect(try await isEncrypted(server, "encrypted", "sslmode=allow"))
            #expect(try await isEncrypted(server, "plain", "sslmode=allow") == false)
            #expect(try await isEncrypted(server, "plain", "sslmode=prefer") == false)
            for (name, mode) in [("encrypted", "disable"), ("plain", "require")] {
                let refused = await code { _ = try await isEncrypted(server, name, "sslmode=\(mode)") }
                #expect(refused == .internal, "\(name), \(mode)")
            }
        }
    }

    @Test func `Channel binding is used, required or left out`() async throws {
        try await withServer(TestCertificates()) { server, _ async throws in
            for binding in ["disable", "prefer", "require"] {
                #expect(try await isEncrypted(server, "encrypted", "sslmode=require&channel_binding=\(binding)"))
            }
            for (name, mode) in [("trusting", "require"), ("postgres", "disable")] {
                let refused = await code {
                    _ = try await isEncrypted(server, name, "sslmode=\(mode)&channel_binding=require")
                }
                #expect(refused == .failedPrecondition, "\(name), \(mode)")
            }
        }
    }

    @Test func `A client shows its certificate`() async throws {
        let certificates = try TestCertificates()
        try await withServer(certificates) { server, folder async throws in
            func file(_ name: String, _ content: String) throws -> String {
                let file = folder.appending(path: name)
                try Data(content.utf8).write(to: file)
                return file.path
            }
            func parameters(_ issued: TestCertificates.Issued, key: String? = nil) throws -> String {
                let certificate = try file("client.crt", issued.certificate)
                return try "sslmode=require&sslcert=\(certificate)&sslkey=\(file("client.key", key ?? issued.key))"
            }
            let client = try certificates.issue("postgres")
            #expect(try await isEncrypted(server, "certified", parameters(client)))
            #expect(await code { _ = try await isEncrypted(server, "certified", "sslmode=require") } == .internal)
            let other = try certificates.issue("somebody")
            #expect(await code { _ = try await isEncrypted(server, "certified", parameters(other)) } == .internal)
            let unknown = try TestCertificates().issue("postgres")
            #expect(await code { _ = try await isEncrypted(server, "certified", parameters(unknown)) } == .unavailable)
            let mismatch = await code {
                _ = try await isEncrypted(server, "certified", parameters(client, key: other.key))
            }
            #expect(mismatch == .invalidArgument)
        }
    }

    @Test func `An expired certificate is accepted only by modes that do not verify`() async throws {
        let certificates = try TestCertificates(expiry: -60)
        try await withServer(certificates) { server, folder async throws in
            let authority = folder.appending(path: "authority.pem")
            try Data(certificates.authority.utf8).write(to: authority)
            #expect(try await isEncrypted(server, "encrypted", "sslmode=require"))
            for mode in ["verify-ca", "verify-full"] {
                let refused = await code {
                    _ = try await isEncrypted(server, "encrypted", "sslmode=\(mode)&sslrootcert=\(authority.path)")
                }
                #expect(refused == .unavailable, "\(mode)")
            }
        }
    }
}
