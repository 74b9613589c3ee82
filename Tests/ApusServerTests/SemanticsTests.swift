import ApusCore
import ApusHTTP
import ApusTesting
import Foundation
import HTTPTypes
import NIOCore
import Testing

@testable import ApusServer

/// What requests and responses mean (RFC 9110), the same over every version and with TLS or without.
@Suite(.timeLimit(.minutes(10))) struct SemanticsTests {
    private let sum = HTTPField.Name("X-Sum")!

    private func withClient(
        _ wire: Wire, limits: ServerLimits = .patient, routes declare: (Routes) -> Void = { _ in },
        _ body: (SemanticsClient) async throws -> Void
    ) async throws {
        let authority = try TestAuthority()
        let tls = wire.isEncrypted ? TLS(try authority.issue("localhost").source) : nil
        let configuration = Server.Configuration(
            listeners: [Listener(.tcp(host: "127.0.0.1", port: 0), tls: tls)], threads: 1)
        try await withServer(configuration, limits: limits, routes: declare) { addresses in
            let port = try #require(addresses.first?.port)
            let context = try authority.clientContext(protocols: [wire.isHTTP2 ? "h2" : "http/1.1"])
            try await body(SemanticsClient(wire: wire, port: port, tls: context))
        }
    }

    // MARK: Expectations

    @Test(arguments: Wire.allCases)
    func `A client that expects 100 receives it once the body is read, and then the response`(wire: Wire) async throws {
        try await withClient(wire) { client in
            let exchange = try await client.send("POST", "/echo", [], .awaitingContinue("hello"))
            #expect(exchange.informational == [100])
            #expect(exchange.status == 200)
            #expect(exchange.body == "hello")
        }
    }

    @Test(arguments: Wire.allCases)
    func `A client that expects 100 receives only the response if the body is not read`(wire: Wire) async throws {
        try await withClient(wire) { client in
            let exchange = try await client.send("POST", "/missing", [], .awaitingContinue("hello"))
            #expect(exchange.informational.isEmpty)
            #expect(exchange.status == 404)
        }
    }

    @Test(arguments: Wire.allCases)
    func `A declared length over the limit is 413 at once, without 100 or a wait for the body`(wire: Wire) async throws
    {
        var limits = ServerLimits.patient
        limits.bodyBytes = 4
        try await withClient(
            wire, limits: limits,
            routes: { routes in
                routes.post("count", BodyStream()) { body in
                    var count = 0
                    for try await piece in body { count += piece.readableBytes }
                    return "\(count)"
                }
                routes.post("copy", BodyStream()) { body in
                    Response(status: .ok, body: .stream { for try await piece in body { try await $0.write(piece) } })
                }
            }
        ) { client in
            for path in ["/echo", "/count", "/copy"] {
                for body in [OutgoingBody.awaitingContinue("hello"), .withheld(5)] {
                    let exchange = try await client.send("POST", path, [], body)
                    #expect(exchange.informational.isEmpty, "\(path)")
                    #expect(exchange.status == 413, "\(path)")
                }
            }
            #expect(try await client.send("POST", "/count", [], .awaitingContinue("four")).body == "4")
        }
    }

    @Test(arguments: Wire.allCases)
    func `A body sent without waiting needs no 100, and another expectation is 417`(wire: Wire) async throws {
        try await withClient(wire) { client in
            let exchange = try await client.send("POST", "/echo", [("expect", "100-Continue")], .declared("hello"))
            #expect(exchange.body == "hello")
            #expect(try await client.send("POST", "/echo", [("expect", "200-ok")], .declared("x")).status == 417)
        }
    }

    // MARK: HEAD, conditions, ranges

    private static func withFile(_ text: String, _ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-semantics-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(text.utf8).write(to: folder.appending(path: "a.txt"))
        try Data().write(to: folder.appending(path: "empty.txt"))
        try await body(folder.path)
    }

    @Test(arguments: Wire.allCases)
    func `HEAD has the header of GET and no body`(wire: Wire) async throws {
        try await Self.withFile("0123456789") { folder in
            try await withClient(wire, routes: { $0.files("files", from: folder) }) { client in
                for path in ["/hello", "/files/a.txt", "/missing"] {
                    var (get, head) = (try await client.send("GET", path), try await client.send("HEAD", path))
                    #expect(head.body.isEmpty)
                    #expect(head.status == get.status)
                    for name in ["date", "x-request-id"] { (get.headers[name], head.headers[name]) = (nil, nil) }
                    #expect(head.headers == get.headers, "\(path)")
                    #expect(head.headers["content-length"] == "\(get.body.utf8.count)")
                }
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func `Ranges and conditions of files are answered`(wire: Wire) async throws {
        try await Self.withFile("0123456789") { folder in
            try await withClient(wire, routes: { $0.files("files", from: folder) }) { client in
                let part = try await client.send("GET", "/files/a.txt", [("range", "bytes=2-4")])
                #expect(part.status == 206 && part.body == "234")
                #expect(part.headers["content-range"] == "bytes 2-4/10")
                let last = try await client.send("GET", "/files/a.txt", [("range", "bytes=-3")])
                #expect(last.body == "789")
                #expect(try await client.send("GET", "/files/a.txt", [("range", "bytes=10-")]).status == 416)
                let empty = try await client.send("GET", "/files/empty.txt", [("range", "bytes=-5")])
                #expect(empty.status == 200 && empty.body.isEmpty)
                let tag = try #require(part.headers["etag"])
                let spared = try await client.send("GET", "/files/a.txt", [("if-none-match", tag)])
                #expect(spared.status == 304 && spared.body.isEmpty && spared.headers["etag"] == tag)
                #expect(spared.headers["content-length"] == nil)
                #expect(try await client.send("GET", "/files/a.txt", [("if-match", "\"x\"")]).status == 412)
                let changed = try await client.send(
                    "GET", "/files/a.txt", [("range", "bytes=2-4"), ("if-range", "\"x\"")])
                #expect(changed.status == 200)
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func `A response without content has no body and no length where none is allowed`(wire: Wire) async throws {
        try await withClient(
            wire,
            routes: { routes in
                routes.delete("thing") { NoContent() }
                routes.get("empty") { Response(status: .ok) }
            }
        ) { client in
            let deleted = try await client.send("DELETE", "/thing")
            #expect(deleted.status == 204 && deleted.headers["content-length"] == nil && deleted.body.isEmpty)
            #expect(try await client.send("GET", "/empty").headers["content-length"] == "0")
        }
    }

    // MARK: Bodies

    @Test(arguments: Wire.allCases)
    func `A response may come before the body of its request`(wire: Wire) async throws {
        try await withClient(
            wire,
            routes: { routes in
                routes.post("early", WholeRequest()) { _ in "early" }
            }
        ) { client in
            let exchange = try await client.send("POST", "/early", [], .withheld(1000))
            #expect(exchange.status == 200 && exchange.body == "early")
        }
    }

    @Test(arguments: Wire.allCases)
    func `Trailers pass both ways`(wire: Wire) async throws {
        try await withClient(
            wire,
            routes: { routes in
                routes.post("trailers") { [sum] request in
                    Response(
                        status: .ok,
                        body: .stream { writer in
                            for try await piece in request.body { try await writer.write(piece) }
                            writer.setTrailers([sum: request.body.trailers[sum] ?? "none"])
                        })
                }
            }
        ) { client in
            let exchange = try await client.send(
                "POST", "/trailers", [("te", "trailers")], .streamed(["one ", "two"], trailers: ["x-sum": "7"]))
            #expect(exchange.body == "one two")
            #expect(exchange.trailers["x-sum"] == "7")
        }
    }

    @Test(arguments: Wire.allCases)
    func `A body over the limit is 413, declared or not`(wire: Wire) async throws {
        var limits = ServerLimits.patient
        limits.bodyBytes = 10
        try await withClient(wire, limits: limits) { client in
            for body in [OutgoingBody.declared("01234567890"), .streamed(["01234", "567890"])] {
                let exchange = try await client.send("POST", "/echo", [], body)
                #expect(exchange.status == 413)
                #expect(exchange.headers["content-type"] == "application/problem+json")
            }
            #expect(try await client.send("POST", "/echo", [], .streamed(["01234", "56789"])).body == "0123456789")
        }
    }

    @Test(arguments: Wire.allCases)
    func `A body shorter than declared never reaches a handler as complete`(wire: Wire) async throws {
        let failed = Gate()
        try await withClient(
            wire,
            routes: { routes in
                routes.post("sum") { request in
                    do {
                        _ = try await request.body.collect()
                        Issue.record("The body was accepted as complete.")
                    } catch { failed.open() }
                    return Response(status: .ok)
                }
            }
        ) { client in
            _ = try await client.send("POST", "/sum", [], .short("1234", declared: 7))
            // A stream may be reset before its request begins.
            if !wire.isHTTP2 { try await failed.wait() }
        }
    }

    // MARK: Time

    @Test(arguments: Wire.allCases)
    func `A body that does not come is 408, a handler that does not end 504`(wire: Wire) async throws {
        var limits = ServerLimits.patient
        limits.bodyGrace = .milliseconds(100)
        try await withClient(wire, limits: limits) { client in
            let slow = try await client.send("POST", "/echo", [], .withheld(10))
            #expect(slow.status == 408)
        }
        limits = .patient
        limits.requestDeadline = .milliseconds(100)
        try await withClient(
            wire, limits: limits,
            routes: { routes in
                routes.get("endless") {
                    try await Task.sleep(for: .seconds(3600))
                    return "late"
                }
            }
        ) { client in
            let late = try await client.send("GET", "/endless")
            #expect(late.status == 504)
        }
    }

    @Test(arguments: Wire.allCases)
    func `A client that waits for 100 is not slow`(wire: Wire) async throws {
        var exchange = Exchange()
        // On a slow machine, the body may take longer than the grace period once it was asked for.
        for grace in [Duration.milliseconds(500), .seconds(5), .seconds(50)] {
            exchange = try await exchangeAfterWaiting(wire, longerThan: grace)
            if exchange.status == 200 { break }
        }
        #expect(exchange.informational == [100] && exchange.body == "hello")
    }

    /// Sends a request whose body the server asks for only when another client has been rejected as too slow.
    private func exchangeAfterWaiting(_ wire: Wire, longerThan grace: Duration) async throws -> Exchange {
        var limits = ServerLimits.patient
        limits.bodyGrace = grace
        let (begun, asked) = (Gate(), Gate())
        var result = Exchange()
        try await withClient(
            wire, limits: limits,
            routes: { routes in
                routes.post("slow-reader") { request in
                    begun.open()
                    try await asked.wait()
                    return .text(String(buffer: try await request.body.collect()))
                }
            }
        ) { client in
            async let exchange = client.send("POST", "/slow-reader", [], .awaitingContinue("hello"))
            try await begun.wait()
            // Begins later, so the grace period of the first request would have ended as well. It must not begin before
            // 100 is sent.
            #expect(try await client.send("POST", "/echo", [], .withheld(10)).status == 408)
            asked.open()
            result = try await exchange
        }
        return result
    }

    // MARK: Upgrades

    @Test(arguments: Wire.allCases)
    func `A required upgrade is named where the version has upgrades`(wire: Wire) async throws {
        try await withClient(
            wire,
            routes: { routes in
                routes.get("socket") { _ in
                    var error = AppError(.failedPrecondition, "Upgrade.", reason: .upgradeRequired)
                    error.details.metadata = ["upgrade": "websocket", "sec-websocket-version": "13"]
                    throw error
                }
            }
        ) { client in
            let exchange = try await client.send("GET", "/socket")
            #expect(exchange.status == 426)
            #expect(exchange.headers["sec-websocket-version"] == "13")
            #expect(exchange.headers["upgrade"] == (wire.isHTTP2 ? nil : "websocket"))
            #expect(exchange.headers["connection"] == (wire.isHTTP2 ? nil : "close, upgrade"))
        }
    }
}
