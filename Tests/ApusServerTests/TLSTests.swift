import HTTPTypes
import ApusCore
import ApusHTTP
import ApusTesting
import Crypto
import Foundation
import NIOCore
import NIOSSL
import Synchronization
import Testing

@testable import ApusServer

@Suite(.timeLimit(.minutes(10))) struct TLSTests {
    private let authority: TestAuthority
    private let get = "GET /principal HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    init() throws { authority = try TestAuthority() }

    /// - Parameters:
    ///   - wire: Records what the server sends, encrypted.
    ///   - inside: Records what the client makes of it.
    private func connect(
        _ port: Int, _ context: NIOSSLContext, wire: Recorder = Recorder(), inside: Recorder = Recorder()
    ) async throws -> RawConnection {
        try await RawConnection.connect(SocketAddress(ipAddress: "127.0.0.1", port: port)) { channel in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(wire)
            try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: "localhost"))
            try pipeline.addHandler(inside)
        }
    }

    private func ask(_ port: Int, _ context: NIOSSLContext) async throws -> String {
        let connection = try await connect(port, context)
        try await connection.write(get)
        return try await connection.readToEnd()
    }

    private func withEncryptedServer(
        _ tls: TLS, limits: ServerLimits = .patient, _ body: (Int) async throws -> Void
    ) async throws {
        let configuration = Server.Configuration(
            listeners: [Listener(.tcp(host: "127.0.0.1", port: 0), tls: tls)], threads: 2)
        try await withServer(configuration, limits: limits) { routes in
            routes.get("principal", WholeRequest()) { request in request.context.principal?.subject ?? "anonymous" }
            routes.get("certificate", ClientCertificate()) { certificate in
                "\(certificate.name) \(certificate.fingerprint)"
            }
            routes.get("large") { String(repeating: "x", count: 3_000_000) }
        } _: { addresses in
            try await body(#require(addresses.first?.port))
        }
    }

    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func `HTTP/1.1 is served over TLS, with small and large responses`(version: TLSVersion) async throws {
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            let context = try authority.clientContext(protocols: ["http/1.1"], version: version)
            #expect(try await ask(port, context).hasSuffix("\r\n\r\nanonymous"))
            let connection = try await connect(port, context)
            try await connection.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            try await connection.write("GET /principal HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let text = try await connection.readToEnd()
            #expect(text.utf8.count > 3_000_000)
            #expect(text.hasSuffix("\r\n\r\nanonymous"))
        }
    }

    @Test func `TLS 1.1 and plaintext are rejected, and so is TLS 1.2 if the minimum is 1.3`() async throws {
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            await #expect(throws: (any Error).self) { try await ask(port, authority.clientContext(version: .tlsv11)) }
            let plain = try await RawConnection.connect(port: port)
            try await plain.write(get)
            let answer = try await plain.readToEnd()
            #expect(!answer.contains("200"))
        }
        let tls = TLS(try authority.issue("localhost").source, minimumVersion: .tls13)
        try await withEncryptedServer(tls) { port in
            await #expect(throws: (any Error).self) { try await ask(port, authority.clientContext(version: .tlsv12)) }
            let answer = try await ask(port, authority.clientContext())
            #expect(answer.hasSuffix("anonymous"))
        }
    }

    @Test func `If ALPN selects HTTP/2, HTTP/1.1 is not accepted`() async throws {
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            let context = try authority.clientContext(protocols: ["h2", "http/1.1"])
            let connection = try await connect(port, context)
            try await connection.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}")
            let first = try #require(try await connection.read())
            #expect(first.getInteger(at: 3, as: UInt8.self) == 4, "a SETTINGS frame")
            connection.close()
            let answer = try await ask(port, context)
            #expect(!answer.contains("HTTP/1.1 200"))
        }
    }

    @Test func `If ALPN selects HTTP/1.1, the preface of HTTP/2 is not accepted`() async throws {
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            let connection = try await connect(port, authority.clientContext(protocols: ["http/1.1"]))
            try await connection.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            #expect(try await connection.readToEnd().hasPrefix("HTTP/1.1 505"))
        }
    }

    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func `A client that offers only other protocols receives the alert no_application_protocol`(
        version: TLSVersion
    ) async throws {
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            let wire = Recorder()
            let others = try authority.clientContext(protocols: ["acme-tls/1", "http/1.0"], version: version)
            let connection = try await connect(port, others, wire: wire)
            _ = try? await connection.readToEnd()
            #expect(wire.bytes == [21, 3, 3, 0, 2, 2, 120])
            let one = try authority.clientContext(protocols: ["acme-tls/1", "http/1.1"], version: version)
            #expect(try await ask(port, one).hasSuffix("\r\n\r\nanonymous"))
            #expect(try await ask(port, authority.clientContext(version: version)).hasSuffix("\r\n\r\nanonymous"))
        }
    }

    @Test(arguments: ["http/1.1", "h2"], [TLSVersion.tlsv12, .tlsv13])
    func `A client that closes is answered with close_notify, idle and after a response`(
        name: String, version: TLSVersion
    ) async throws {
        let fields: [UInt8] = [0x82, 0x86, 0x44, 10] + Array("/principal".utf8) + [0x41, 1, 0x61]
        let preface = name == "h2" ? HTTP2Bytes.preface : []
        let request =
            name == "h2"
            ? HTTP2Bytes.frame(1, 5, 1, fields) : Array("GET /principal HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            let context = try authority.clientContext(
                protocols: [name], version: version, shutdownTimeout: .seconds(600))
            for (hasRequest, closesBoth) in [(false, true), (false, false), (true, true), (true, false)] {
                let inside = Recorder()
                let connection = try await connect(port, context, inside: inside)
                // Completed after the handshake, even if it is empty.
                try await connection.write(ByteBuffer(bytes: preface + (hasRequest ? request : [])))
                if hasRequest {
                    let answer = try await connection.read(until: "anonymous")
                    #expect(answer.contains("anonymous"))
                }
                // Either way the client sends close_notify; then it waits for that of the server, or also ends the TCP
                // connection in its direction.
                if closesBoth { connection.close() } else { try await connection.closeOutput() }
                _ = try await connection.readToEnd()
                #expect(inside.errors.isEmpty, "\(inside.errors), request: \(hasRequest), both: \(closesBoth)")
            }
        }
    }

    @Test func `A server that closes first sends close_notify`() async throws {
        try await withEncryptedServer(TLS(authority.issue("localhost").source)) { port in
            let inside = Recorder()
            let connection = try await connect(port, authority.clientContext(protocols: ["http/1.1"]), inside: inside)
            try await connection.write(get)
            #expect(try await connection.readToEnd().hasSuffix("anonymous"))
            #expect(inside.errors.isEmpty, "\(inside.errors)")
        }
    }

    @Test func `The certificate of a client is the principal of its requests`() async throws {
        let folder = try TemporaryFolder()
        let authorities = try folder.write("ca.pem", authority.pem)
        let tls = TLS(
            try authority.issue("localhost").source, clientCertificates: .required(authorities: authorities))
        try await withEncryptedServer(tls) { port in
            let named = try authority.issue("orders", uri: "spiffe://example.org/orders")
            #expect(
                try await ask(port, authority.clientContext(named)).hasSuffix("certificate:spiffe://example.org/orders")
            )
            let billing = try authority.issue("billing")
            let connection = try await connect(port, authority.clientContext(billing))
            try await connection.write("GET /certificate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let fingerprint = try SHA256.hash(
                data: NIOSSLCertificate(bytes: Array(billing.certificate.utf8), format: .pem).toDERBytes())
            #expect(
                try await connection.readToEnd().hasSuffix(
                    "\r\n\r\nCN=billing \(fingerprint.map { String(format: "%02x", $0) }.joined())"))
            let stranger = try TestAuthority("Stranger").issue("orders")
            for identity in [nil, stranger] {
                let answer = try? await ask(port, authority.clientContext(identity))
                #expect(answer?.contains("200") != true)
            }
        }
        let optional = TLS(
            try authority.issue("localhost").source, clientCertificates: .optional(authorities: authorities))
        try await withEncryptedServer(optional) { port in
            #expect(try await ask(port, authority.clientContext()).hasSuffix("anonymous"))
            #expect(
                try await ask(port, authority.clientContext(authority.issue("orders"))).hasSuffix("certificate:orders"))
            let stranger = try TestAuthority("Stranger").issue("orders")
            let answer = try? await ask(port, authority.clientContext(stranger))
            #expect(answer?.contains("200") != true)
        }
    }

    @Test func `A changed certificate is used for new connections, and open ones stay open`() async throws {
        let folder = try TemporaryFolder()
        let first = try authority.issue("localhost")
        let certificate = try folder.write("tls.crt", first.certificate)
        let key = try folder.write("tls.key", first.key)
        var tls = TLS(.files(certificate: certificate, key: key))
        tls.reloadInterval = .milliseconds(10)
        try await withEncryptedServer(tls) { port in
            let open = try await connect(port, authority.clientContext())
            try await open.write("GET /principal HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await open.read(until: "anonymous").hasPrefix("HTTP/1.1 200"))
            // A certificate without its new key cannot be used, so the previous pair stays in use.
            let other = try TestAuthority("Other")
            let second = try other.issue("localhost")
            _ = try folder.write("tls.crt", second.certificate)
            #expect(try await ask(port, authority.clientContext()).hasSuffix("anonymous"))
            _ = try folder.write("tls.key", second.key)
            var answer: String?
            while answer == nil {
                try Task.checkCancellation()
                answer = try? await ask(port, other.clientContext())
            }
            #expect(answer?.hasSuffix("anonymous") == true)
            try await open.write(get)
            #expect(try await open.readToEnd().hasSuffix("anonymous"))
        }
    }

    @Test func `An error at the start names the file that cannot be used`() async throws {
        let folder = try TemporaryFolder()
        let identity = try authority.issue("localhost")
        let certificate = try folder.write("tls.crt", identity.certificate)
        let wrongKey = try folder.write("tls.key", try authority.issue("other").key)
        for (tls, part) in [
            (TLS(.files(certificate: "/none.pem", key: wrongKey)), "/none.pem"),
            (TLS(.files(certificate: certificate, key: certificate)), "The private key \(certificate)"),
            (TLS(.files(certificate: certificate, key: wrongKey)), "The certificate with its private key"),
            (
                TLS(identity.source, clientCertificates: .required(authorities: wrongKey)),
                "client authorities \(wrongKey)"
            ),
        ] {
            let server = Server(
                .init(listeners: [Listener(.tcp(host: "127.0.0.1", port: 0), tls: tls)], threads: 1), logger: .quiet
            ) { _ in
            } handler: { _ in
                Response(status: .ok)
            }
            let error = await #expect(throws: AppError.self) { try await server.run() }
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
        }
    }
}

/// Records the bytes and errors that pass it. A connection that ends without `close_notify` is such an error.
private final class Recorder: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let record = Mutex((bytes: [UInt8](), errors: [String]()))

    var bytes: [UInt8] { record.withLock { $0.bytes } }
    var errors: [String] { record.withLock { $0.errors } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        record.withLock { $0.bytes += bytes }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        record.withLock { $0.errors.append("\(error)") }
        context.fireErrorCaught(error)
    }
}

/// A folder that is deleted after the test.
private final class TemporaryFolder {
    private let url = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// Writes a file and returns its path.
    func write(_ name: String, _ text: String) throws -> String {
        let file = url.appending(path: name)
        try text.write(to: file, atomically: true, encoding: .utf8)
        return file.path
    }
}
