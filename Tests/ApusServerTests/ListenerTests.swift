import HTTPTypes
import ApusCore
import ApusHTTP
import ApusTesting
import Foundation
import Logging
import NIOCore
import Testing

@testable import ApusServer

@Suite(.timeLimit(.minutes(10))) struct ListenerTests {
    private let get = "GET /peer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    private func declarePeer(_ routes: Routes) {
        routes.get("peer", WholeRequest()) { request in request.remoteAddress ?? "unknown" }
    }

    private func temporaryPath() -> String {
        FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString.prefix(8)).sock").path
    }

    @Test func `One server listens on several ports and a unix socket at once`() async throws {
        let path = temporaryPath()
        let listeners = [
            Listener(.tcp(host: "127.0.0.1", port: 0)), Listener(.tcp(host: "127.0.0.1", port: 0)),
            Listener(.unix(path: path)),
        ]
        try await withServer(.init(listeners: listeners, threads: 2), routes: declarePeer) { addresses in
            #expect(Set(addresses).count == 3)
            for port in addresses.compactMap(\.port) {
                let connection = try await RawConnection.connect(port: port)
                try await connection.write(get)
                #expect(try await connection.readToEnd().hasSuffix("\r\n\r\n127.0.0.1"))
            }
            let connection = try await RawConnection.connect(SocketAddress(unixDomainSocketPath: path))
            try await connection.write(get)
            #expect(try await connection.readToEnd().hasSuffix("\r\n\r\nunknown"))
        }
        #expect(!FileManager.default.fileExists(atPath: path), "the socket file is removed with the server")
    }

    @Test func `An address in use by another server is an error, also with several event loops`() async throws {
        let path = temporaryPath()
        let listeners = [Listener(.tcp(host: "127.0.0.1", port: 0)), Listener(.unix(path: path))]
        try await withServer(.init(listeners: listeners, threads: 2)) { addresses in
            for address in addresses {
                let second = Server(.init(listeners: [Listener(address)], threads: 2), logger: .quiet) { _ in
                } handler: { _ in
                    Response(status: .ok)
                }
                let error = await #expect(throws: AppError.self) { try await second.run() }
                #expect(error?.message == "\(address) is in use by another process.")
            }
            // The failed attempt has not removed the socket.
            let connection = try await RawConnection.connect(SocketAddress(unixDomainSocketPath: path))
            try await connection.write(get)
            #expect(try await connection.readToEnd().hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test func `A socket file left behind by a killed server is replaced`() async throws {
        let path = temporaryPath()
        try await withServer(.init(listeners: [Listener(.unix(path: path))], threads: 1)) { _ in
            try FileManager.default.linkItem(atPath: path, toPath: path + ".left")
        }
        try FileManager.default.moveItem(atPath: path + ".left", toPath: path)
        try await withServer(.init(listeners: [Listener(.unix(path: path))], threads: 1)) { addresses in
            #expect(addresses == [.unix(path: path)])
        }
    }

    @Test func `Beyond the limit, connections wait until another one ends`() async throws {
        var limits = ServerLimits.patient
        limits.connections = 2
        try await withServer(.init(port: 0, threads: 2), limits: limits, routes: declarePeer) { addresses in
            let port = try #require(addresses.first?.port)
            var open: [RawConnection] = []
            for _ in 0..<2 {
                let connection = try await RawConnection.connect(port: port)
                try await connection.write("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await connection.read(until: "127.0.0.1").hasPrefix("HTTP/1.1 200"))
                open.append(connection)
            }
            // The system accepts these connections, but the server does not serve them yet.
            var waiting: [RawConnection] = []
            for _ in 0..<6 {
                let connection = try await RawConnection.connect(port: port)
                try await connection.write(get)
                waiting.append(connection)
            }
            try await open[0].write("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(
                try await open[0].read(until: "127.0.0.1").hasPrefix("HTTP/1.1 200"),
                "open connections are still served")
            open[0].close()
            for connection in waiting { #expect(try await connection.readToEnd().hasSuffix("127.0.0.1")) }
        }
    }

    @Test func `A trusted proxy supplies the client's address`() async throws {
        let listener = Listener(.tcp(host: "127.0.0.1", port: 0), proxies: [try IPNetwork("127.0.0.0/8")])
        try await withServer(.init(listeners: [listener], threads: 1), routes: declarePeer) { addresses in
            let port = try #require(addresses.first?.port)
            let connection = try await RawConnection.connect(port: port)
            for piece in ["PROXY TCP4 192.0.2.9 198.5", "1.100.1 56324 443\r\nGET /pe", String(get.dropFirst(7))] {
                try await connection.write(piece)
            }
            #expect(try await connection.readToEnd().hasSuffix("\r\n\r\n192.0.2.9"))
            let own = try await RawConnection.connect(port: port)
            try await own.write("PROXY UNKNOWN\r\n" + get)
            #expect(try await own.readToEnd().hasSuffix("\r\n\r\n127.0.0.1"))
            let without = try await RawConnection.connect(port: port)
            try await without.write(get)
            #expect(try await without.readToEnd() == "", "the header is required")
        }
    }

    @Test func `A PROXY header from an untrusted address is rejected`() async throws {
        let listener = Listener(.tcp(host: "127.0.0.1", port: 0), proxies: [try IPNetwork("10.0.0.0/8")])
        try await withServer(.init(listeners: [listener], threads: 1), routes: declarePeer) { addresses in
            let port = try #require(addresses.first?.port)
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n" + get)
            #expect(try await connection.readToEnd().hasPrefix("HTTP/1.1 400"))
            let direct = try await RawConnection.connect(port: port)
            try await direct.write(get)
            #expect(try await direct.readToEnd().hasSuffix("127.0.0.1"))
        }
    }

    @Test func `A client without a timely PROXY header or TLS handshake is disconnected`() async throws {
        var limits = ServerLimits.patient
        limits.headTimeout = .milliseconds(100)
        let authority = try TestAuthority()
        let listeners = [
            Listener(.tcp(host: "127.0.0.1", port: 0), proxies: [try IPNetwork("127.0.0.0/8")]),
            Listener(.tcp(host: "127.0.0.1", port: 0), tls: TLS(try authority.issue("localhost").source)),
        ]
        try await withServer(.init(listeners: listeners, threads: 1), limits: limits) { addresses in
            for port in addresses.compactMap(\.port) {
                let connection = try await RawConnection.connect(port: port)
                try? await connection.write("P")
                #expect(try await connection.readToEnd() == "")
            }
        }
    }

    @Test func `Errors of a listening socket are told apart: exhaustion, a lost connection, a lost listener`() {
        func failure(_ code: CInt) -> AcceptFailure { AcceptFailure(IOError(errnoCode: code, reason: "accept")) }
        for code in [EMFILE, ENFILE, ENOBUFS, ENOMEM] { #expect(failure(code) == .exhaustion) }
        #expect(failure(ECONNABORTED) == .lostConnection)
        #expect(failure(EBADF) == .lostListener)
        #expect(AcceptFailure(ChannelError.operationUnsupported) == .lostListener)
    }
}

extension Logger {
    static var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
