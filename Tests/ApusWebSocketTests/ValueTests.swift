import Apus
import ApusTesting
import NIOCore
import Testing

private struct Reading: Codable, Sendable, Equatable, Validatable, ResponseConvertible {
    var sensor = "a"
    var celsius = 21.5
    var at = Date(timeIntervalSince1970: 1_769_860_800)

    static let rules: [Rule<Reading>] = [
        Rule("sensor", \.sensor, .length(1...10)), Rule("celsius", \.celsius, .range(-90...60)),
    ]
}

/// What a handler answers to a message that it cannot use.
private struct Complaint: Codable, Equatable {
    let code: Int
    let message: String
    let pointers: [String]

    init(_ error: AppError) {
        code = error.code.rawValue
        message = error.message
        pointers = error.details.failures.map(\.pointer)
    }
}

private struct ValueModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.routes { routes in
            routes.get("reading") { Reading() }
            routes.webSocket("strict") { socket in
                for try await reading in socket.messages(of: Reading.self) { try await socket.send(json: reading) }
            }
            routes.webSocket("counts") { socket in
                for try await counts in socket.messages(of: [String: Int].self) { try await socket.send(json: counts) }
            }
            routes.webSocket("tolerant") { socket in
                try await Self.answer(socket) { try await socket.receive(Reading.self) }
            }
            routes.webSocket("iterator") { socket in
                let iterator = socket.messages(of: Reading.self).makeAsyncIterator()
                try await Self.answer(socket) { try await iterator.next() }
            }
        }
    }

    /// Sends each value back, and a complaint for each message that is not one.
    private static func answer(_ socket: WebSocket, next: () async throws -> Reading?) async throws {
        while true {
            do {
                guard let reading = try await next() else { return }
                try await socket.send(json: reading)
            } catch let error as AppError where error.code == .invalidArgument {
                try await socket.send(json: Complaint(error))
            }
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct ValueTests {
    private let app = App("values") { ValueModule() }

    /// A message that cannot be decoded or is not valid, and the pointers of the fields that are wrong.
    struct Unusable: Sendable, CustomTestStringConvertible {
        let message: String
        let pointers: [String]
        let closeReason: String

        init(_ message: String, at pointers: String..., closing reason: String) {
            self.message = message
            self.pointers = pointers
            closeReason = reason
        }

        var testDescription: String { String(message.prefix(60)) }

        static let all = [
            Unusable("", closing: "The message is not valid JSON."),
            Unusable(#"{"sensor":"#, closing: "The message is not valid JSON."),
            Unusable(#"{"sensor":"a"} {}"#, closing: "The message is not valid JSON."),
            Unusable(#"{"sensor":"a","sensor":"b"}"#, closing: "The message is not valid JSON."),
            Unusable(String(repeating: "[", count: 10_000), closing: "The message is not valid JSON."),
            Unusable("5", at: "", closing: "The message must be an object"),
            Unusable(#"{"sensor":"a","celsius":1}"#, at: "/at", closing: "/at is required"),
            Unusable(#"{"sensor":"a","celsius":"1"}"#, at: "/celsius", closing: "/celsius must be a number"),
            Unusable(#"{"sensor":"a","celsius":1,"at":"noon"}"#, at: "/at", closing: "/at "),
            Unusable(
                #"{"sensor":"","celsius":61,"at":"2026-01-31T12:00:00Z"}"#, at: "/sensor", "/celsius",
                closing: "/sensor must have 1 to 10 characters; /celsius must be from -90.0 to 60.0"),
        ]
    }

    @Test(arguments: TestApp.Transport.allCases) func `Values are received and sent as JSON`(
        transport: TestApp.Transport
    ) async throws {
        try await app.test(transport) { app in
            try await app.client.webSocket("/strict") { socket in
                for celsius in [-90, 0.1, 60] {
                    let reading = Reading(celsius: celsius)
                    try await socket.send(json: reading)
                    let echo = try await socket.receiveJSON(Reading.self)
                    #expect(echo == reading)
                }
            }
        }
    }

    @Test func `A value is encoded as in responses, its dates included`() async throws {
        try await app.test { app in
            let response = try await app.client.get("/reading").text
            #expect(response == #"{"sensor":"a","celsius":21.5,"at":"2026-01-31T12:00:00.000Z"}"#)
            try await app.client.webSocket("/strict") { socket in
                try await socket.send(#"{"at":"2026-01-31T13:00:00+01:00","celsius":21.5,"sensor":"a"}"#)
                let echo = try await socket.receive()
                #expect(echo == response)
            }
        }
    }

    @Test(arguments: Unusable.all)
    func `A message that is not a valid value closes the connection with 1007 and says why`(
        unusable: Unusable
    ) async throws {
        try await app.test { app in
            try await app.client.webSocket("/strict") { socket in
                try await socket.send(unusable.message)
                let message = try await socket.receive()
                #expect(message == nil)
                #expect(socket.receivedCloseCode == 1007)
                let reason = try #require(socket.receivedCloseReason)
                #expect(reason.hasPrefix(unusable.closeReason), "\(reason)")
                #expect(reason.utf8.count <= 123)
            }
        }
    }

    @Test(arguments: ["/tolerant", "/iterator"])
    func `A handler that catches the error receives the messages after it`(path: String) async throws {
        try await app.test { app in
            try await app.client.webSocket(path) { socket in
                for unusable in Unusable.all {
                    try await socket.send(unusable.message)
                    let complaint = try #require(try await socket.receiveJSON(Complaint.self))
                    #expect(complaint.code == StatusCode.invalidArgument.rawValue)
                    #expect(complaint.pointers == unusable.pointers, "\(complaint)")
                    try await socket.send(json: Reading())
                    let echo = try await socket.receiveJSON(Reading.self)
                    #expect(echo == Reading())
                }
            }
        }
    }

    @Test func `A binary message is not a value, even if it is JSON`() async throws {
        try await app.test { app in
            try await app.client.webSocket("/tolerant") { socket in
                try await socket.sendFrame(0x82, JSONCoding.encode(Reading()))
                let complaint = try await socket.receiveJSON(Complaint.self)
                #expect(complaint?.message == "The message must be JSON in a text message, not a binary message.")
            }
            try await app.client.webSocket("/strict") { socket in
                try await socket.sendFrame(0x82, JSONCoding.encode(Reading()))
                let message = try await socket.receive()
                #expect(message == nil)
                #expect(socket.receivedCloseCode == 1007)
            }
        }
    }

    @Test func `A close reason is cut to 123 bytes, between characters`() async throws {
        try await app.test { app in
            try await app.client.webSocket("/counts") { socket in
                try await socket.send(json: [String(repeating: "é", count: 1000): "one"])
                let message = try await socket.receive()
                #expect(message == nil)
                #expect(socket.receivedCloseReason == "/" + String(repeating: "é", count: 61))
            }
        }
    }
}
