import ApusCore
import ApusRedis
import ApusTesting
import FoundationEssentials
import Logging
import Testing

/// Connections with TLS.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisTLSTests {
    /// A certificate for `localhost`, signed by itself, for tests alone.
    private static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBnjCCAUWgAwIBAgIUSiSAxzOV+qosdHfvkAKxT5aN3fUwCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOUmVkaXMgb2YgdGVzdHMwIBcNMjYxMTI3MTkyNDAzWhgPMjEy
        NjExMDMxOTI0MDNaMBkxFzAVBgNVBAMMDlJlZGlzIG9mIHRlc3RzMFkwEwYHKoZI
        zj0CAQYIKoZIzj0DAQcDQgAEOJKsHKW7+dOjSXbfsbr817WKNLCGRnTTVojEbHn3
        Zrs1BK3L6vGjK7v3EErA1t6bJbxPFLb0XBjjpfRUuA9ERqNpMGcwHQYDVR0OBBYE
        FM5yLim5lykcM9iq7m2xlYig35prMB8GA1UdIwQYMBaAFM5yLim5lykcM9iq7m2x
        lYig35prMA8GA1UdEwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxob3N0MAoG
        CCqGSM49BAMCA0cAMEQCIE4mWNwm6Sqv+DkH/AekamDg7nb8w2dhLDE+lHKYjk4g
        AiBr+BxPOExoi/+SsWADmwId9LonoHbUOHIL8vfQHQaYWw==
        -----END CERTIFICATE-----
        """

    private static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNq3D9ke0/cRIqGm7
        AAzB/M7eXWHm95OcuqDPvVv5wEuhRANCAAQ4kqwcpbv506NJdt+xuvzXtYo0sIZG
        dNNWiMRsefdmuzUErcvq8aMru/cQSsDW3pslvE8UtvRcGOOl9FS4D0RG
        -----END PRIVATE KEY-----
        """

    /// Runs a closure with the port of a server with TLS.
    private func withServer(_ body: (_ port: Int) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Self.certificate.write(toFile: "\(folder)/cert.pem", atomically: false, encoding: .utf8)
        try Self.key.write(toFile: "\(folder)/key.pem", atomically: false, encoding: .utf8)
        try await withReservedPort { port in
            let configuration = [
                "tls-port \(port)", "tls-cert-file \(folder)/cert.pem", "tls-key-file \(folder)/key.pem",
                "tls-ca-cert-file \(folder)/cert.pem", "tls-auth-clients no",
            ]
            try await TestRedis.run(configuration: configuration) { _ in try await body(port) }
        }
    }

    private func withClient(
        _ url: String, _ change: (inout RedisConfiguration) -> Void, _ body: (RedisClient) async throws -> Void
    ) async throws {
        var configuration = try RedisConfiguration(url: url)
        change(&configuration)
        let redis = try RedisClient(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await body(redis)
        await redis.close()
    }

    @Test(arguments: ["localhost", "127.0.0.1"])
    func `A trusted server is used, by its name or that of the configuration`(host: String) async throws {
        try await withServer { port in
            let trust: (inout RedisConfiguration) -> Void = {
                $0.tls?.authorities = .pem(Self.certificate)
                // The certificate has no address.
                if host == "127.0.0.1" { $0.tls?.serverName = "localhost" }
            }
            try await withClient("rediss://\(host):\(port)", trust) { redis in
                let large = String(repeating: "a", count: 1_000_000)
                try await redis.set("large", large)
                let value = try await redis.get("large")
                #expect(value == large)
            }
        }
    }

    @Test func `A server that is not trusted, has another name or has no TLS is refused`() async throws {
        try await withServer { port in
            func code(_ url: String, _ change: (inout RedisConfiguration) -> Void) async throws -> StatusCode? {
                var code: StatusCode?
                try await withClient(url, change) { redis in
                    let error = await #expect(throws: AppError.self) { try await redis.ping() }
                    code = error?.code
                }
                return code
            }
            let untrusted = try await code("rediss://localhost:\(port)") { _ in }
            #expect(untrusted == .unavailable)
            let misnamed = try await code("rediss://localhost:\(port)") {
                $0.tls?.authorities = .pem(Self.certificate)
                $0.tls?.serverName = "example.org"
            }
            #expect(misnamed == .unavailable)
            let address = try await code("rediss://127.0.0.1:\(port)") {
                $0.tls?.authorities = .pem(Self.certificate)
            }
            #expect(address == .unavailable)
            let plaintext = try await code("redis://localhost:\(port)") { $0.connectTimeout = .seconds(1) }
            #expect(plaintext == .unavailable)
        }
    }
}
