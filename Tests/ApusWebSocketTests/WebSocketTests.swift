import Apus
import ApusTesting
import NIOCore
import Testing

private struct SocketModule: Module {
    let hub = Hub<String>()

    func configure(_ app: inout AppBuilder) {
        app.routes { routes in
            routes.webSocket("echo") { socket in for try await message in socket { try await socket.send(message) } }
            routes.webSocket("once") { socket in try await socket.send("bye") }
            routes.webSocket("fail/:code", Path("code", as: Int.self)) { _, code in
                throw AppError(StatusCode(rawValue: code) ?? .unknown, "No.")
            }
            routes.webSocket("small", options: small) { socket in for try await _ in socket {} }
            routes.webSocket("rooms/:room", Path("room")) { socket, room in
                try await hub.join(room) { member in
                    try await socket.send("joined")
                    try await member.relay(socket) { message in hub.broadcast(message, to: room) }
                }
            }
            routes.group("houses", Constant()) { routes in
                routes.webSocket("live") { socket, value in try await socket.send("\(value)") }
                routes.group(":house", Path("house")) { routes in
                    routes.webSocket(":room", Path("room")) { socket, value, house, room in
                        try await socket.send("\(value) \(house) \(room)")
                    }
                }
            }
            routes.webSocket("close/:code", Path("code", as: UInt16.self)) { socket, number in
                guard let code = WebSocketCloseCode(number) else {
                    throw AppError(.invalidArgument, "\(number) is not a close code.")
                }
                await socket.close(code, reason: "Bye.")
            }
            routes.webSocket("quick", options: quick) { socket in for try await _ in socket {} }
        }
    }

    private var small: WebSocketOptions {
        var options = WebSocketOptions(subprotocols: ["b", "a"])
        options.maxMessageBytes = 10
        return options
    }

    private var quick: WebSocketOptions {
        var options = WebSocketOptions()
        options.pingInterval = .milliseconds(20)
        options.pongTimeout = .milliseconds(20)
        return options
    }
}

/// An input with the same value for every request.
private struct Constant: RequestInput {
    func extract(from request: Request) -> Int { 1 }
}

@Suite(.timeLimit(.minutes(10))) struct WebSocketTests {
    private let app = App("sockets") { SocketModule() }

    @Test(arguments: TestApp.Transport.allCases) func `Messages of all sizes are echoed`(transport: TestApp.Transport)
        async throws
    {
        try await app.test(transport) { app in
            try await app.client.webSocket("/echo") { socket in
                for size in [0, 1, 125, 126, 60_000] {
                    let text = String(repeating: "é", count: size / 2)
                    try await socket.send(text)
                    #expect(try await socket.receive() == text)
                }
            }
        }
    }

    @Test(arguments: TestApp.Transport.allCases) func `The connection is closed with 1000 when the handler returns`(
        transport: TestApp.Transport
    ) async throws {
        try await app.test(transport) { app in
            try await app.client.webSocket("/once") { socket in
                let messages = [try await socket.receive(), try await socket.receive()]
                #expect(messages == ["bye", nil])
                #expect(socket.receivedCloseCode == 1000)
            }
        }
    }

    @Test(
        arguments: [(.goingAway, 1001), (.unsupportedData, 1003), (.internalError, 1011), (.tryAgainLater, 1013)]
            as [(WebSocketCloseCode, UInt16)])
    func `A handler can close with a code and a reason`(code: WebSocketCloseCode, expected: UInt16) async throws {
        try await app.test { app in
            try await app.client.webSocket("/close/\(code.number)") { socket in
                let message = try await socket.receive()
                #expect(message == nil)
                #expect(socket.receivedCloseCode == expected)
                #expect(socket.receivedCloseReason == "Bye.")
            }
        }
    }

    @Test(arguments: [("/houses/live", "1"), ("/houses/a/b", "1 a b")])
    func `A WebSocket in a group receives the values of the group and of the groups around it`(
        path: String, expected: String
    ) async throws {
        try await app.test { app in
            try await app.client.webSocket(path) { socket in
                let message = try await socket.receive()
                #expect(message == expected)
            }
        }
    }

    @Test(arguments: [(7, 1008), (8, 1013), (13, 1011), (3, 1007)])
    func `The error that a handler throws determines the close code`(code: Int, expected: UInt16) async throws {
        try await app.test { app in
            try await app.client.webSocket("/fail/\(code)") { socket in
                let message = try await socket.receive()
                #expect(message == nil)
                #expect(socket.receivedCloseCode == expected)
            }
        }
    }

    @Test func `A message over the limit closes with 1009, invalid UTF-8 with 1007, a protocol error with 1002`()
        async throws
    {
        try await app.test(.socket) { app in
            for (first, payload, expected) in [
                (UInt8(0x81), ByteBuffer(string: "12345678901"), UInt16(1009)),
                (0x81, ByteBuffer(bytes: [0xFF, 0xFE]), 1007),
                (0x83, ByteBuffer(), 1002),
                (0x80, ByteBuffer(string: "x"), 1002),
            ] {
                try await app.client.webSocket("/small") { socket in
                    try await socket.sendFrame(first, payload)
                    #expect(try await socket.receive() == nil)
                    #expect(socket.receivedCloseCode == expected)
                }
            }
        }
    }

    @Test(arguments: TestApp.Transport.allCases) func `A message to a room reaches all its members`(
        transport: TestApp.Transport
    ) async throws {
        try await app.test(transport) { app in
            try await app.client.webSocket("/rooms/x") { first in
                try await app.client.webSocket("/rooms/x") { second in
                    #expect(try await first.receive() == "joined")
                    #expect(try await second.receive() == "joined")
                    try await first.send("hello")
                    #expect(try await first.receive() == "hello")
                    #expect(try await second.receive() == "hello")
                }
            }
        }
    }

    @Test func `A plain request to a WebSocket endpoint is answered with 426`() async throws {
        try await app.test(.socket) { app in
            let response = try await app.client.get("/echo")
            #expect(response.status.code == 426)
            #expect(response.headers[.upgrade] == "websocket")
            #expect(try response.problem().reason == "UPGRADE_REQUIRED")
        }
    }

    @Test func `Pages from the same host may connect, pages from other hosts may not`() async throws {
        try await app.test(.socket) { app in
            await #expect(throws: TestWebSocket.Refusal.self) {
                try await app.client.webSocket("/echo", headers: [.origin: "https://evil.example"]) { _ in }
            }
            let own = "http://127.0.0.1:\(app.port ?? 0)"
            try await app.client.webSocket("/echo", headers: [.origin: own]) { socket in
                try await socket.send("x")
                #expect(try await socket.receive() == "x")
            }
        }
    }

    @Test(arguments: ["HTTP/1.0\r\nHost: a", "HTTP/1.1\r\nHost: a\r\nContent-Length: 2"])
    func `A request that must not be upgraded is rejected`(version: String) async throws {
        try await app.test(.socket) { app in
            let connection = try await RawConnection.connect(port: app.port ?? 0)
            try await connection.write(
                """
                GET /echo \(version)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nhi
                """)
            let text = try await connection.readToEnd()
            #expect(text.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func `A client that does not respond to a close frame is disconnected`() async throws {
        try await app.test(.socket) { app in
            let connection = try await RawConnection.connect(port: app.port ?? 0)
            try await connection.write(
                """
                GET /once HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
                """)
            #expect(try await connection.readToEnd().hasPrefix("HTTP/1.1 101 "))
        }
    }

    @Test func `A client that does not respond to pings is disconnected`() async throws {
        try await app.test(.socket) { app in
            let silent = try await RawConnection.connect(port: app.port ?? 0)
            try await silent.write(
                "GET /quick HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            #expect(try await silent.readToEnd().hasPrefix("HTTP/1.1 101 "))
        }
    }
}
