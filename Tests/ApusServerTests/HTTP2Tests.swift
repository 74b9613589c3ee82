import ApusHTTP
import ApusServer
import ApusTesting
import HTTPTypes
import NIOCore
import NIOHPACK
import NIOHTTP2
import Testing

@Suite(.timeLimit(.minutes(10))) struct HTTP2Tests {
    @Test func `Requests on one connection are answered as soon as they finish, not in order`() async throws {
        let gate = Gate()
        try await withServer(routes: { routes in
            routes.get("slow") {
                try await gate.wait()
                return "slow"
            }
        }) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "GET", "/slow")
            try await client.request(3, "GET", "/hello")
            #expect(await client.response(3) == .init(status: "200", body: "Hello"))
            gate.open()
            #expect(await client.response(1) == .init(status: "200", body: "slow"))
            try await client.close()
        }
    }

    @Test func `Request and response are streamed with their trailers`() async throws {
        try await withServer(routes: { routes in
            routes.post("trailers") { request in
                Response(
                    status: .ok,
                    body: .stream { writer in
                        for try await piece in request.body { try await writer.write(piece) }
                        writer.setTrailers([
                            HTTPField.Name("X-Sum")!: request.body.trailers[HTTPField.Name("X-In")!] ?? ""
                        ])
                    })
            }
        }) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "POST", "/trailers", isEnd: false)
            try await client.body(1, "one ", isEnd: false)
            try await client.body(1, "two", isEnd: false)
            try await client.send(1, .headers(.init(headers: ["x-in": "7"], endStream: true)))
            #expect(await client.response(1) == .init(status: "200", body: "one two", trailers: ["x-sum": "7"]))
            try await client.close()
        }
    }

    @Test(arguments: [["one"], ["one two three"], ["on", "e tw"], []])
    func `A body that does not have its declared length resets the stream, and no handler sees it as complete`(
        pieces: [String]
    ) async throws {
        let (begun, outcome) = (Gate(), Gate())
        try await withServer(routes: { routes in
            routes.post("sum") { request in
                begun.open()
                do {
                    _ = try await request.body.collect()
                    Issue.record("The body was accepted as complete.")
                } catch {
                    outcome.open()
                }
                return Response(status: .ok)
            }
        }) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "POST", "/sum", isEnd: pieces.isEmpty, ["content-length": "7"])
            // Without a body, the request is rejected before a handler sees it. So is one whose body arrives with its head.
            if !pieces.isEmpty { try await begun.wait() }
            for (index, piece) in pieces.enumerated() {
                try await client.body(1, piece, isEnd: index == pieces.count - 1)
            }
            #expect(await client.response(1).reset == .protocolError)
            if !pieces.isEmpty { try await outcome.wait() }
            try await client.request(3, "GET", "/hello")
            #expect(await client.response(3).body == "Hello")
            try await client.close()
        }
    }

    @Test func `A bidirectional stream is exempt from the timeouts for slow bodies and late responses`()
        async throws
    {
        var limits = ServerLimits.patient
        limits.bodyGrace = .milliseconds(100)
        limits.requestDeadline = .milliseconds(100)
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.post("converse") { request in
                    var response = Response(
                        status: .ok,
                        body: .stream { writer in
                            for try await piece in request.body {
                                (writer as? any DeferredHeadWriter)?.sendHead([.server: "late"])
                                try await writer.write(piece)
                            }
                        })
                    response.delivery = .deferredHead
                    return response
                }
            }
        ) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "POST", "/converse", isEnd: false)
            try await client.request(3, "POST", "/echo", isEnd: false)
            #expect(await client.response(3).status == "408")
            try await client.body(1, "there ", isEnd: false)
            try await client.request(5, "POST", "/echo", isEnd: false)
            #expect(await client.response(5).status == "408")
            try await client.body(1, "still", isEnd: true)
            #expect(await client.response(1).body.hasSuffix("still"))
            try await client.close()
        }
    }

    @Test func `A deferred head carries the trailers if the body is empty`() async throws {
        try await withServer(routes: { routes in
            routes.post("nothing") { _ in
                var response = Response(status: .ok, body: .stream { $0.setTrailers([HTTPField.Name("X-Sum")!: "0"]) })
                response.delivery = .deferredHead
                return response
            }
            routes.post("hand") { request in
                var response = Response(status: .ok, body: .bytes(try await request.body.collect()))
                response.delivery = .trailers([HTTPField.Name("X-Sum")!: "1"])
                return response
            }
        }) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "POST", "/nothing")
            #expect(await client.response(1) == .init(status: "200"))
            try await client.request(3, "POST", "/hand", isEnd: false)
            try await client.body(3, "a", isEnd: true)
            #expect(await client.response(3) == .init(status: "200", body: "a", trailers: ["x-sum": "1"]))
            try await client.close()
        }
    }

    @Test func `A stream that the client resets cancels only its own request`() async throws {
        let started = Gate()
        let cancelled = Gate()
        try await withServer(routes: { routes in
            routes.get("forever") {
                started.open()
                do { try await Gate().wait() } catch { cancelled.open() }
                return ""
            }
        }) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "GET", "/forever")
            try await started.wait()
            try await client.send(1, .rstStream(.cancel))
            try await cancelled.wait()
            try await client.request(3, "GET", "/hello")
            #expect(await client.response(3).body == "Hello")
            try await client.close()
        }
    }

    @Test(arguments: [("/hello", "405"), ("/gone", "204")])
    func `A response sent before its request has ended is complete, and the rest of the request is refused`(
        path: String, status: String
    ) async throws {
        try await withServer(routes: { $0.post("gone") { _ in Response(status: .noContent) } }) { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, "POST", path, isEnd: false)
            #expect(await client.response(1).status == status)
            #expect(await client.response(1).reset == .noError)
            try await client.close()
        }
    }

    @Test(arguments: [
        ("GET", "nothing", "400"), ("GET", "/a#b", "400"), ("GET", "/unknown", "404"),
        ("GET", "*", "400"), ("OPTIONS", "*", "204"),
    ])
    func `An invalid or unknown path is an error, except for OPTIONS with an asterisk`(
        method: String, path: String, status: String
    ) async throws {
        try await withServer { port in
            let client = try await HTTP2Client.connect(port: port)
            try await client.request(1, method, path)
            #expect(await client.response(1).status == status)
            try await client.close()
        }
    }

    @Test func `An extended CONNECT opens a tunnel only on routes that support upgrades`() async throws {
        try await withServer(routes: { routes in
            routes.get("tunnel") { request in
                #expect(request.context.connectProtocol == "websocket")
                return .upgrade(headers: [:]) { stream in
                    while let bytes = try? await stream.read() { try? await stream.write(bytes) }
                }
            }
        }) { port in
            let client = try await HTTP2Client.connect(port: port)
            // A client may send an extended CONNECT only after it has received the server's settings.
            try await client.request(1, "GET", "/hello")
            #expect(await client.response(1).status == "200")
            try await client.request(3, "CONNECT", "/hello", isEnd: false, [":protocol": "websocket"])
            #expect(await client.response(3).status == "501")
            try await client.request(5, "CONNECT", "/tunnel", isEnd: false, [":protocol": "websocket"])
            try await client.body(5, "there ", isEnd: false)
            try await client.body(5, "and back", isEnd: true)
            #expect(await client.response(5) == .init(status: "200", body: "there and back"))
            try await client.close()
        }
    }

    @Test(arguments: [["all"], [], ["a", "ll"]])
    func `A tunnel receives the data that arrives together with its request`(pieces: [String]) async throws {
        try await withServer(routes: { routes in
            routes.get("tunnel") { _ in
                .upgrade(headers: [:]) { stream in
                    while let bytes = try? await stream.read() { try? await stream.write(bytes) }
                    try? await stream.write(ByteBuffer(string: "."))
                }
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            var bytes = HTTP2Bytes.preface + HTTP2Bytes.tunnel(0, isEnd: pieces.isEmpty)
            for (index, piece) in pieces.enumerated() {
                bytes += HTTP2Bytes.frame(0, index == pieces.count - 1 ? 1 : 0, 1, Array(piece.utf8))
            }
            try await connection.write(ByteBuffer(bytes: bytes))
            var answer: [UInt8] = []
            var echo = ""
            while echo.last != ".", let more = try await connection.read() {
                answer += more.readableBytesView
                echo = String(decoding: HTTP2Bytes.frames(0, in: answer).flatMap(\.payload), as: UTF8.self)
            }
            #expect(echo == pieces.joined() + ".")
        }
    }

    @Test func `A connection at its maximum age sends GOAWAY and answers the requests it has accepted`() async throws {
        var limits = ServerLimits.patient
        limits.connectionAge = .milliseconds(1)
        let gate = Gate()
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("slow") {
                    try await gate.wait()
                    return "slow"
                }
            }
        ) { port in
            let connection = try await RawConnection.connect(port: port)
            let get: [UInt8] = [0x82, 0x86, 0x44, 5] + Array("/slow".utf8) + [0x41, 1, 0x61]
            // The request arrives with the preface, at which the age begins. Later, the connection might be too old.
            try await connection.write(ByteBuffer(bytes: HTTP2Bytes.preface + HTTP2Bytes.frame(1, 5, 1, get)))
            var answer: [UInt8] = []
            while HTTP2Bytes.frames(7, in: answer).isEmpty, let more = try await connection.read() {
                answer += more.readableBytesView
            }
            #expect(HTTP2Bytes.frames(0, in: answer).isEmpty)
            // Acknowledges the ping that follows the announcement.
            try await connection.write(ByteBuffer(bytes: HTTP2Bytes.frame(6, 1, 0, [0, 0, 0, 0, 0, 0, 0, 1])))
            gate.open()
            while let more = try await connection.read() { answer += more.readableBytesView }
            let body = HTTP2Bytes.frames(0, in: answer).flatMap(\.payload)
            #expect(String(decoding: body, as: UTF8.self) == "slow")
            let last = HTTP2Bytes.frames(7, in: answer).map { Array($0.payload.prefix(4)) }
            #expect(last == [[0x7F, 0xFF, 0xFF, 0xFF], [0, 0, 0, 1]])
        }
    }

    @Test func `The connection of an unresponsive client is closed, and its requests are cancelled`() async throws {
        var limits = ServerLimits.patient
        limits.pingInterval = .milliseconds(1)
        limits.pingTimeout = .milliseconds(1)
        let cancelled = Gate()
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("forever") {
                    do { try await Gate().wait() } catch { cancelled.open() }
                    return ""
                }
            }
        ) { port in
            // This client does not acknowledge pings.
            let connection = try await RawConnection.connect(port: port)
            let get: [UInt8] = [0x82, 0x86, 0x44, 8] + Array("/forever".utf8) + [0x41, 1, 0x61]
            try await connection.write(ByteBuffer(bytes: HTTP2Bytes.preface + HTTP2Bytes.frame(1, 5, 1, get)))
            while try await connection.read() != nil {}
            try await cancelled.wait()
        }
    }

    @Test func `Resets of requests that were answered are no flood, however many there are`() async throws {
        try await withServer { port in
            let connection = try await RawConnection.connect(port: port)
            let get: [UInt8] = [0x82, 0x86, 0x44, 6] + Array("/hello".utf8) + [0x41, 1, 0x61]
            try await connection.write(ByteBuffer(bytes: HTTP2Bytes.preface))
            var answer: [UInt8] = []
            for round in 0..<7 {
                let ids = (0..<50).map { 2 * (50 * round + $0) + 1 }
                try await connection.write(ByteBuffer(bytes: ids.flatMap { HTTP2Bytes.frame(1, 5, $0, get) }))
                while HTTP2Bytes.frames(0, in: answer).count < 50 * (round + 1), let more = try await connection.read()
                {
                    answer += more.readableBytesView
                }
                let resets = ids.flatMap { HTTP2Bytes.frame(3, 0, $0, [0, 0, 0, 8]) }
                try await connection.write(ByteBuffer(bytes: resets))
            }
            #expect(HTTP2Bytes.frames(0, in: answer).count == 350)
            #expect(HTTP2Bytes.goAwayCode(in: answer) == nil)
            connection.close()
        }
    }

    /// Frames that are sent many times after the preface and must end the connection.
    enum Flood: CaseIterable {
        case openedAndReset, pings, settings, endlessHeader, tunnelsReset, windowsTooLarge, malformed

        func frames(_ index: Int) -> [UInt8] {
            switch self {
            case .openedAndReset: HTTP2Bytes.openAndReset(index)
            case .pings: HTTP2Bytes.frame(6, 0, 0, Array(repeating: 0, count: 8))
            case .settings: HTTP2Bytes.frame(4, 0, 0, [])
            // With each of these, the server resets a stream, or the client resets one whose response has only begun.
            case .tunnelsReset: HTTP2Bytes.tunnelAndReset(index)
            case .windowsTooLarge:
                HTTP2Bytes.open(index) + HTTP2Bytes.frame(8, 0, index * 2 + 1, [0x7F, 0xFF, 0xFF, 0xFF])
            case .malformed: HTTP2Bytes.frame(1, 5, index * 2 + 1, [0x82, 0x84, 0x41, 1, 0x61])
            case .endlessHeader: HTTP2Bytes.frame(index == 0 ? 1 : 9, 0, 1, [0x82])
            }
        }
    }

    @Test(arguments: Flood.allCases)
    func `A flood ends the connection with ENHANCE_YOUR_CALM`(flood: Flood) async throws {
        try await withServer(routes: { routes in
            routes.get("tunnel") { _ in
                .upgrade(headers: [:]) { stream in while (try? await stream.read()) != nil {} }
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write(ByteBuffer(bytes: HTTP2Bytes.preface + (0..<300).flatMap(flood.frames)))
            var answer: [UInt8] = []
            while let bytes = try await connection.read() { answer += bytes.readableBytesView }
            #expect(HTTP2Bytes.goAwayCode(in: answer) == 11)
        }
    }
}
