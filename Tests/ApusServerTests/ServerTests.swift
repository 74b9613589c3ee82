import ApusCore
import ApusHTTP
import ApusServer
import ApusTesting
import HTTPTypes
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

extension ServerLimits {
    /// Limits whose times only a hang exceeds, however slow the machine is. A test shortens the one that it is about.
    static var patient: ServerLimits {
        var limits = ServerLimits()
        limits.headTimeout = .seconds(600)
        limits.idleTimeout = .seconds(600)
        limits.bodyGrace = .seconds(600)
        limits.requestDeadline = .seconds(600)
        limits.cancellationGrace = .seconds(600)
        limits.pingInterval = .seconds(600)
        limits.pingTimeout = .seconds(600)
        return limits
    }
}

/// Runs a server with a few routes on a free port while the body runs.
func withServer(
    limits: ServerLimits = .patient, routes declare: (Routes) -> Void = { _ in },
    _ body: (Int) async throws -> Void
) async throws {
    try await withServer(Server.Configuration(port: 0, threads: 2), limits: limits, routes: declare) { addresses in
        try await body(#require(addresses.first?.port))
    }
}

/// Runs a server with any listeners while the body runs.
func withServer(
    _ configuration: Server.Configuration, limits: ServerLimits = .patient,
    routes declare: (Routes) -> Void = { _ in }, _ body: ([Listener.Address]) async throws -> Void
) async throws {
    let routes = Routes()
    routes.get("hello") { "Hello" }
    routes.post("echo", RawBody()) { body in String(buffer: body) }
    routes.post("stream") { request in
        Response(
            status: .ok,
            body: .stream { writer in for try await piece in request.body { try await writer.write(piece) } })
    }
    declare(routes)
    let router = try Router(routes)
    var configuration = configuration
    configuration.limits = limits
    let (ports, continuation) = AsyncStream.makeStream(of: [Listener.Address].self)
    let server = Server(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) {
        continuation.yield($0)
    } handler: {
        await router.respond(to: $0)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { continuation.finish() }
            try await server.run()
        }
        var iterator = ports.makeAsyncIterator()
        try await body(#require(await iterator.next()))
        group.cancelAll()
    }
}

/// Sends text, waits for the server to close the connection, and returns everything it has sent.
func exchange(_ port: Int, _ text: String) async throws -> String {
    let connection = try await RawConnection.connect(port: port)
    try await connection.write(text)
    return try await connection.readToEnd()
}

private let close = "Connection: close\r\n"

@Suite(.timeLimit(.minutes(10))) struct ServerTests {
    @Test func `Keep-alive serves several requests, and close ends the connection`() async throws {
        try await withServer { port in
            let connection = try await RawConnection.connect(port: port)
            for _ in 0..<3 {
                try await connection.write("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                let text = try await connection.read(until: "\r\n\r\nHello")
                #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(text.contains("Content-Length: 5\r\n"))
                #expect(!text.contains("Connection:"))
            }
            try await connection.write("GET /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(try await connection.readToEnd().contains("Connection: close\r\n"))
        }
    }

    @Test func `Pipelined requests are answered in order, even if the first is the slowest`() async throws {
        let gate = Gate()
        try await withServer(routes: { routes in
            routes.get("slow") {
                try await gate.wait()
                return "slow"
            }
            routes.get("open") {
                gate.open()
                return "open"
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write(
                "GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            _ = try await exchange(port, "GET /open HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            let text = try await connection.readToEnd()
            let slow = try #require(text.range(of: "slow"))
            let hello = try #require(text.range(of: "Hello"))
            #expect(slow < hello)
        }
    }

    @Test func `A chunked body is read completely, and a streamed response is chunked`() async throws {
        try await withServer { port in
            let body = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"
            let echoed = try await exchange(port, "POST /echo HTTP/1.1\r\nHost: a\r\n\(close)\(body)")
            #expect(echoed.hasSuffix("\r\n\r\nhello, world"))
            let streamed = try await exchange(port, "POST /stream HTTP/1.1\r\nHost: a\r\n\(close)\(body)")
            #expect(streamed.contains("Transfer-Encoding: chunked\r\n"))
            #expect(streamed.hasSuffix("0\r\n\r\n"))
            #expect(streamed.contains("hello"))
        }
    }

    @Test func `A large body is streamed completely, and in HTTP/1.0 it ends with the connection`() async throws {
        var limits = ServerLimits.patient
        limits.bodyBytes = 8 << 20
        try await withServer(limits: limits) { port in
            let size = 4 << 20
            let payload = String(repeating: "0123456789abcdef", count: size / 16)
            let connection = try await RawConnection.connect(port: port)
            async let text = connection.readToEnd()
            try await connection.write("POST /stream HTTP/1.0\r\nContent-Length: \(size)\r\n\r\n")
            try await connection.write(payload)
            let body = try await text.suffix(size)
            #expect(body == payload[...])
        }
    }

    @Test func `100 Continue is sent only when the body is wanted`() async throws {
        try await withServer(routes: { $0.post("ignore") { "ignored" } }) { port in
            let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\(close)\r\n"
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("POST /echo \(head)")
            #expect(try await connection.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            try await connection.write("hello")
            #expect(try await connection.readToEnd().hasSuffix("hello"))
            let ignored = try await exchange(port, "POST /ignore \(head)")
            #expect(ignored.hasPrefix("HTTP/1.1 200 OK"))
            #expect(!ignored.contains("100 Continue"))
        }
    }

    @Test func `HEAD has the fields of GET and no body; 204 has no Content-Length`() async throws {
        try await withServer(routes: { $0.delete("thing") { NoContent() } }) { port in
            let head = try await exchange(port, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(head.contains("Content-Length: 5\r\n"))
            #expect(head.hasSuffix("\r\n\r\n"))
            let none = try await exchange(port, "DELETE /thing HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(none.hasPrefix("HTTP/1.1 204 No Content"))
            #expect(!none.contains("Content-Length"))
        }
    }

    @Test(arguments: ["HTTP/1.0\r\n", "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"])
    func `A slow reader receives a large response completely`(version: String) async throws {
        let size = 8 << 20
        try await withServer(routes: { routes in
            routes.get("large") { _ in
                Response(status: .ok, body: .bytes(ByteBuffer(repeating: 0x78, count: size)))
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.pauseReading()
            try await connection.write("GET /large \(version)\r\n")
            try await connection.closeOutput()
            // These requests take longer than the server would need for the response if the client were reading.
            for _ in 0..<5 { _ = try await exchange(port, "GET /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n") }
            try await connection.resumeReading()
            let text = try await connection.readToEnd()
            #expect(text.utf8.count > size)
            #expect(text.hasSuffix("xxx"))
        }
    }

    @Test func `A client that closes its sending side after its request is answered`() async throws {
        try await withServer { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n")
            try await connection.write(String(repeating: "x", count: 700_000))
            try await connection.closeOutput()
            let text = try await connection.readToEnd()
            #expect(text.hasPrefix("HTTP/1.1 200 OK"))
            #expect(text.hasSuffix("xxx"))
        }
    }

    @Test func `The head of a streamed response is sent before its body begins`() async throws {
        let gate = Gate()
        try await withServer(routes: { routes in
            routes.get("later") { _ in
                await Task.yield()
                return Response(
                    status: .ok,
                    body: .stream { writer in
                        try await gate.wait()
                        try await writer.write("at last")
                    })
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("GET /later HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(try await connection.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 OK"))
            gate.open()
            #expect(try await connection.readToEnd().contains("at last"))
        }
    }

    @Test func `100 Continue is never sent within a response`() async throws {
        try await withServer { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write(
                "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\(close)\r\n")
            #expect(try await connection.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 Continue\r\n\r\n"))
            try await connection.write("hello")
            let text = try await connection.readToEnd()
            #expect(!text.contains("100 Continue"))
            #expect(text.contains("hello"))
        }
    }

    @Test func `An HTTP/1.0 connection stays open only on request`() async throws {
        try await withServer { port in
            #expect(try await exchange(port, "GET /hello HTTP/1.0\r\n\r\n").contains("Connection: close\r\n"))
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(try await connection.read(until: "Hello").contains("Connection: keep-alive\r\n"))
            connection.close()
        }
    }

    @Test(arguments: ["Content-Length: 11\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"])
    func `A body beyond the limit is answered 413, whether its length is declared or not`(body: String) async throws {
        var limits = ServerLimits.patient
        limits.bodyBytes = 10
        try await withServer(limits: limits) { port in
            let text = try await exchange(port, "POST /echo HTTP/1.1\r\nHost: a\r\n\(close)\(body)")
            #expect(text.hasPrefix("HTTP/1.1 413 "))
            #expect(text.contains("application/problem+json"))
            #expect(text.contains("BODY_TOO_LARGE"))
        }
    }

    @Test func `A malformed request is answered with one problem document, and the connection closes`() async throws {
        try await withServer { port in
            for (bytes, status) in [
                ("GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
                ("\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}", "400"),
                ("GET / HTTP/3.0\r\n\r\n", "505"),
                ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 17_000))\r\n\r\n", "431"),
            ] {
                let text = try await exchange(port, bytes)
                #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(text.prefix(40))")
                #expect(text.contains("application/problem+json"))
                #expect(text.components(separatedBy: "\r\nDate: ") == 2)
            }
        }
    }

    @Test func `A malformed request after HEAD is answered with a body`() async throws {
        try await withServer { port in
            let text = try await exchange(port, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n")
            #expect(text.contains("HTTP/1.1 400 "))
            #expect(text.hasSuffix("}"))
        }
    }

    @Test func `An incomplete head is answered 408`() async throws {
        var limits = ServerLimits.patient
        limits.headTimeout = .milliseconds(100)
        try await withServer(limits: limits) { port in
            let text = try await exchange(port, "GET /hello HTTP/1.1\r\nHo")
            #expect(text.hasPrefix("HTTP/1.1 408 "))
        }
    }

    @Test func `A body that stops arriving is answered 408`() async throws {
        var limits = ServerLimits.patient
        limits.bodyGrace = .milliseconds(100)
        try await withServer(limits: limits) { port in
            let text = try await exchange(port, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nhe")
            #expect(text.hasPrefix("HTTP/1.1 408 "))
        }
    }

    @Test func `A handler past its deadline is cancelled, and the client receives 504`() async throws {
        var limits = ServerLimits.patient
        limits.requestDeadline = .milliseconds(100)
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("sleep") {
                    try await Task.sleep(for: .seconds(3600))
                    return "late"
                }
            }
        ) { port in
            let text = try await exchange(port, "GET /sleep HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(text.hasPrefix("HTTP/1.1 504 "))
        }
    }

    @Test func `A handler that ignores its cancellation is abandoned`() async throws {
        var limits = ServerLimits.patient
        limits.requestDeadline = .milliseconds(50)
        limits.cancellationGrace = .milliseconds(50)
        let gate = Gate()
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("stubborn") {
                    await Task { try? await gate.wait() }.value
                    return "late"
                }
            }
        ) { port in
            let text = try await exchange(port, "GET /stubborn HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(text.hasPrefix("HTTP/1.1 504 "))
            gate.open()
        }
    }

    @Test func `A client that disconnects cancels its request`() async throws {
        let started = Gate()
        let cancelled = Gate()
        try await withServer(routes: { routes in
            routes.get("wait") {
                started.open()
                do { try await Task.sleep(for: .seconds(3600)) } catch { cancelled.open() }
                return ""
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            try await started.wait()
            connection.close()
            try await cancelled.wait()
        }
    }

    @Test func `A client that does not read suspends its writer, and others are still served`() async throws {
        let written = Mutex(0)
        let blocked = Gate()
        try await withServer(routes: { routes in
            routes.get("flood") { _ in
                Response(
                    status: .ok,
                    body: .stream { writer in
                        let piece = ByteBuffer(repeating: 0x78, count: 1 << 20)
                        for number in 0..<1024 {
                            if number == 1 { blocked.open() }
                            try await writer.write(piece)
                            written.withLock { $0 += 1 }
                        }
                    })
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.pauseReading()
            try await connection.write("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
            try await blocked.wait()
            for _ in 0..<10 { _ = try await exchange(port, "GET /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n") }
            #expect(written.withLock { $0 } < 64)
            connection.close()
        }
    }

    @Test func `An endless response does not block its event loop, and ends when the reader disconnects`()
        async throws
    {
        let ended = Gate()
        let routes = { (routes: Routes) -> Void in
            routes.get("endless") { _ in
                Response(
                    status: .ok,
                    body: .stream { writer in
                        defer { ended.open() }
                        while true { try await writer.write("x") }
                    })
            }
        }
        try await withServer(.init(port: 0, threads: 1), routes: routes) { addresses in
            let port = try #require(addresses.first?.port)
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await connection.read(until: "x")
            let other = try await exchange(port, "GET /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(other.hasSuffix("Hello"))
            connection.close()
            try await ended.wait()
        }
    }

    @Test func `Beyond the limit of requests in flight, all but health checks are answered 503 with Retry-After`()
        async throws
    {
        var limits = ServerLimits.patient
        limits.requestsInFlight = 1
        limits.alwaysServed = ["/alive"]
        let started = Gate()
        let gate = Gate()
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("hold") {
                    started.open()
                    try await gate.wait()
                    return "held"
                }
                routes.get("alive") { "alive" }
            }
        ) { port in
            async let held = exchange(port, "GET /hold HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            try await started.wait()
            let refused = try await exchange(port, "GET /hello HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(refused.hasPrefix("HTTP/1.1 503 "))
            #expect(refused.contains("Retry-After: 1\r\n"))
            let alive = try await exchange(port, "GET /alive?x HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            #expect(alive.hasSuffix("alive"))
            gate.open()
            #expect(try await held.hasSuffix("held"))
        }
    }

    @Test func `A streamed body shorter than its declared length ends the connection`() async throws {
        try await withServer(routes: { routes in
            routes.get("short") { _ in
                Response(status: .ok, body: .stream(length: 10) { try await $0.write("short") })
            }
        }) { port in
            let text = try await exchange(port, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(text.contains("Content-Length: 10\r\n"))
            #expect(text.hasSuffix("short"))
        }
    }

    @Test func `Handlers run on the event loop of their connection, before and after a suspension`() async throws {
        try await withServer(routes: { routes in
            routes.get("thread", Query("x")) { _ in
                let before = ThreadName.current
                await Task.yield()
                return "\(before) \(ThreadName.current)"
            }
        }) { port in
            let text = try await exchange(port, "GET /thread?x=1 HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
            let names = text.split(separator: "\r\n\r\n").last?.split(separator: " ") ?? []
            #expect(names.count == 2)
            #expect(names.allSatisfy { $0.hasPrefix("NIO-ELT") })
            #expect(Set(names).count == 1)
        }
    }

}

extension String {
    fileprivate func components(separatedBy part: String) -> Int {
        split(separator: part, omittingEmptySubsequences: false).count
    }

    fileprivate func range(of part: String) -> Index? {
        indices.first { self[$0...].hasPrefix(part) }
    }
}
