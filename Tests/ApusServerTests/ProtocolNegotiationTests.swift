import ApusCore
import ApusTesting
import NIOCore
import Testing

@testable import ApusServer

@Suite(.timeLimit(.minutes(1))) struct ProtocolNegotiationTests {
    private let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    private let settings = "\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}"

    @Test func `HTTP/2 begins after its preface, which may arrive in pieces and after a PROXY header`() async throws {
        let listeners = [
            Listener(.tcp(host: "127.0.0.1", port: 0)),
            Listener(.tcp(host: "127.0.0.1", port: 0), proxies: [try IPNetwork("127.0.0.0/8")]),
        ]
        try await withServer(.init(listeners: listeners, threads: 1)) { addresses in
            for (port, header) in zip(addresses.compactMap(\.port), ["", "PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n"]) {
                let connection = try await RawConnection.connect(port: port)
                for piece in [header + String(preface.prefix(5)), String(preface.dropFirst(5)), settings] {
                    try await connection.write(piece)
                }
                let first = try #require(try await connection.read())
                #expect(first.getInteger(at: first.readerIndex + 3, as: UInt8.self) == 4, "a SETTINGS frame")
                connection.close()
            }
        }
    }

    @Test func `The preface of HTTP/2 that comes later, or is malformed, is an unsupported version`() async throws {
        try await withServer(.init(port: 0, threads: 1)) { addresses in
            let port = try #require(addresses.first?.port)
            for text in ["\r\n" + preface, preface.replacing("SM", with: "SX")] {
                let connection = try await RawConnection.connect(port: port)
                try await connection.write(text)
                #expect(try await connection.readToEnd().hasPrefix("HTTP/1.1 505"))
            }
        }
    }

    @Test func `A client that stops in the middle of the preface is answered 408`() async throws {
        var limits = ServerLimits()
        limits.headTimeout = .milliseconds(100)
        try await withServer(.init(port: 0, threads: 1), limits: limits) { addresses in
            let connection = try await RawConnection.connect(port: #require(addresses.first?.port))
            try await connection.write("PRI * HT")
            #expect(try await connection.readToEnd().hasPrefix("HTTP/1.1 408"))
        }
    }
}
