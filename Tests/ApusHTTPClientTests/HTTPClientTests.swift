import Apus
import ApusCore
import ApusTesting
import InMemoryTracing
import Logging
import ServiceContextModule
import Synchronization
import Testing
import Tracing

@testable import ApusHTTPClient

/// Answers as its list says, and notes what it was asked.
private final class Script: Sendable {
    private let state: Mutex<(answers: [Response], asked: [Request])>

    init(_ answers: [Response]) { state = Mutex((answers, [])) }

    var asked: [Request] { state.withLock { $0.asked } }

    /// Ends once an endless answer has.
    let ended = AsyncStream.makeStream(of: Void.self)

    func end() { ended.continuation.finish() }

    func note(_ request: Request) { state.withLock { $0.asked.append(request) } }

    func next(_ request: Request) -> Response {
        state.withLock { state in
            state.asked.append(request)
            return state.answers.isEmpty ? Response.text("end") : state.answers.removeFirst()
        }
    }
}

private struct Found: Codable, ResponseConvertible {
    let a: Int
}

private struct ScriptModule: Module {
    let script: Script

    func configure(_ app: inout AppBuilder) {
        app.routes { [script] routes in
            for method in [HTTPRequest.Method.get, .post, .put] {
                routes.on(method)("x") { script.next($0) }
            }
            routes.get("slow") { _ in
                try await Task.sleep(for: .seconds(60))
                return .text("late")
            }
            // Begins to answer, and does not go on.
            routes.get("stalled") { request in
                script.note(request)
                return Response(
                    status: .ok,
                    body: .stream { writer in
                        try await writer.write("begun")
                        try await Task.sleep(for: .seconds(60))
                    })
            }
            // Answers until nobody listens any more.
            routes.get("endless") { _ in
                Response(
                    status: .ok,
                    body: .stream { writer in
                        defer { script.end() }
                        while true { try await writer.write(String(repeating: "x", count: 1000)) }
                    })
            }
            routes.post("count") { request in
                var count = 0
                for try await piece in request.body { count += piece.readableBytes }
                return .text("\(count) \(request.headers[.contentLength] ?? "chunked")")
            }
            .bodyLimit(64 << 20)
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct HTTPClientTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a body with a client and the address of a server that answers as is said.
    private func test(
        _ answers: [Response], attemptTimeout: Duration = .seconds(10), idleTimeout: Duration = .seconds(60),
        redirects: Int = 0,
        budget: RetryBudget = RetryBudget(), tracer: InMemoryTracer? = nil,
        _ body: @Sendable (HTTPClient, String, Script) async throws -> Void
    ) async throws {
        let script = Script(answers)
        var configuration = HTTPClient.Configuration()
        configuration.retries.baseDelay = .milliseconds(1)
        configuration.attemptTimeout = attemptTimeout
        configuration.idleTimeout = idleTimeout
        configuration.maximumRedirects = redirects
        let client = HTTPClient(configuration, budget: budget, logger: Self.logger, tracer: tracer)
        do {
            try await App("script") { ScriptModule(script: script) }.test(.socket) { app in
                try await body(client, "http://127.0.0.1:\(app.port ?? 0)/x", script)
            }
        } catch {
            try await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }

    private static let unavailable = Response(status: .serviceUnavailable)

    @Test func `A call brings what the other side answers`() async throws {
        try await test([try .json(["a": 1]), Response(status: .notFound)]) { client, url, script in
            let response = try await client.send(
                .post, url + "?q=1", headers: [.contentType: "text/plain"], body: ByteBuffer(string: "hello"))
            #expect(response.status == .ok && response.headers[.contentType] == "application/json")
            #expect(try response.json([String: Int].self) == ["a": 1])
            let answer = try await client.send(.get, url)
            #expect(answer.status == .notFound)
            let asked = script.asked[0]
            #expect(asked.target == "/x?q=1" && asked.headers[.contentType] == "text/plain")
        }
    }

    @Test func `What may be repeated is, until it succeeds or the attempts are used up`() async throws {
        try await test([Self.unavailable, Response(status: .badGateway)]) { client, url, script in
            let answer = try await client.send(.get, url)
            #expect(answer.body.readableBytes == 3)
            #expect(script.asked.count == 3)
        }
        try await test(Array(repeating: Self.unavailable, count: 9)) { client, url, script in
            let answer = try await client.send(.put, url)
            #expect(answer.status == .serviceUnavailable)
            #expect(script.asked.count == 3)
        }
    }

    @Test func `What may not be repeated is not, unless it has an idempotency key`() async throws {
        try await test([Self.unavailable, Self.unavailable]) { client, url, script in
            let answer = try await client.send(.post, url)
            #expect(answer.status == .serviceUnavailable)
            #expect(script.asked.count == 1)
            let key: HTTPFields = [HTTPField.Name("Idempotency-Key")!: "k"]
            let repeated = try await client.send(.post, url, headers: key)
            #expect(repeated.status == .ok)
            #expect(script.asked.count == 3)
        }
    }

    @Test func `Retry-After is heeded, and not waited for past the deadline`() async throws {
        #expect(HTTPClient.retryAfter("3") == .seconds(3))
        #expect(HTTPClient.retryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now: 784_111_770) == .seconds(7))
        #expect(HTTPClient.retryAfter("soon") == nil && HTTPClient.retryAfter("-1") == nil)
        var busy = Response(status: .tooManyRequests)
        busy.headers[.retryAfter] = "3600"
        try await test([busy, busy]) { client, url, script in
            let answer = try await client.send(.get, url)
            #expect(answer.status == .tooManyRequests)
            #expect(script.asked.count == 1)
        }
    }

    @Test func `All calls together repeat no more than the budget lets them`() async throws {
        let answers = Array(repeating: Response(status: .tooManyRequests), count: 1000)
        try await test(answers, budget: RetryBudget(ratio: 0.1, capacity: 5)) { client, url, script in
            for _ in 0..<100 { _ = try await client.send(.get, url) }
            #expect(script.asked.count <= 100 + 5 + 10)
        }
    }

    @Test func `A host that fails is left alone`() async throws {
        try await test(Array(repeating: Response(status: .internalServerError), count: 100)) { client, url, script in
            for _ in 0..<20 {
                let answer = try await client.send(.post, url)
                #expect(answer.status == .internalServerError)
            }
            let error = await #expect(throws: AppError.self) { try await client.send(.post, url) }
            #expect(error?.details.reason == .circuitOpen)
            #expect(script.asked.count == 20)
        }
    }

    @Test func `The deadline of the work at hand ends a call`() async throws {
        try await test([]) { client, url, _ in
            let slow = url.replacing("/x", with: "/slow")
            let error = await #expect(throws: AppError.self) {
                try await withDeadline(.after(.milliseconds(50))) { try await client.send(.get, slow) }
            }
            #expect(error?.code == .deadlineExceeded)
        }
        try await test([], attemptTimeout: .milliseconds(20)) { client, url, _ in
            let slow = url.replacing("/x", with: "/slow")
            let error = await #expect(throws: AppError.self) { try await client.send(.get, slow) }
            #expect(error?.code == .unavailable)
        }
    }

    @Test func `Nobody there is unavailable, and an address that is none an error of the caller`() async throws {
        try await test([]) { client, _, _ in
            let error = await #expect(throws: AppError.self) { try await client.send(.post, "http://127.0.0.1:1/") }
            #expect(error?.code == .unavailable)
            for url in ["", "x", "/x", "ftp://example.org/", "http://", "http:///x"] {
                let error = await #expect(throws: AppError.self) { try await client.send(.get, url) }
                #expect(error?.code == .invalidArgument, "\(url)")
            }
        }
    }

    @Test func `A body past the limit is refused`() async throws {
        try await test([.text(String(repeating: "x", count: 100)), .text(String(repeating: "x", count: 101))]) {
            client, url, _ in
            let answer = try await client.send(.get, url, limit: 100)
            #expect(answer.body.readableBytes == 100)
            let error = await #expect(throws: AppError.self) { try await client.send(.get, url, limit: 100) }
            #expect(error?.details.reason == .bodyTooLarge)
        }
    }

    @Test func `Redirects are not followed unless it is said`() async throws {
        let redirect = Redirect(to: "/x").response(to: Request(method: .get, target: "/"))
        try await test([redirect]) { client, url, _ in
            let answer = try await client.send(.get, url)
            #expect(answer.status == .seeOther)
        }
        try await test([redirect], redirects: 1) { client, url, _ in
            let answer = try await client.send(.get, url)
            #expect(answer.status == .ok)
        }
    }

    @Test func `A body that pauses for ever ends with the attempt, and with the deadline`() async throws {
        // Each attempt has the time to arrive, however busy the machine is.
        try await test([], attemptTimeout: .milliseconds(500)) { client, url, script in
            let stalled = url.replacing("/x", with: "/stalled")
            let error = await #expect(throws: AppError.self) { try await client.send(.get, stalled) }
            #expect(error?.code == .unavailable)
            #expect(script.asked.count == 3)
        }
        try await test([]) { client, url, _ in
            let stalled = url.replacing("/x", with: "/stalled")
            let error = await #expect(throws: AppError.self) {
                try await withDeadline(.after(.milliseconds(50))) { try await client.send(.get, stalled) }
            }
            #expect(error?.code == .deadlineExceeded)
            let streamed = await #expect(throws: AppError.self) {
                try await withDeadline(.after(.milliseconds(50))) {
                    try await client.stream(.get, stalled) { try await $0.body.collect() }
                }
            }
            #expect(streamed?.code == .deadlineExceeded)
        }
        try await test([], idleTimeout: .milliseconds(50)) { client, url, _ in
            let stalled = url.replacing("/x", with: "/stalled")
            let error = await #expect(throws: AppError.self) {
                try await client.stream(.get, stalled) { try await $0.body.collect() }
            }
            #expect(error?.code == .unavailable)
        }
    }

    @Test func `A streamed body is read as far as one likes, and then no more is sent`() async throws {
        try await test([]) { client, url, script in
            let first = try await client.stream(.get, url.replacing("/x", with: "/endless")) { response in
                #expect(response.status == .ok)
                return try await response.body.first { _ in true }
            }
            #expect(first?.readableBytes ?? 0 > 0)
            for await _ in script.ended.stream {}
            let error = await #expect(throws: AppError.self) {
                try await client.stream(.get, url.replacing("/x", with: "/endless"), limit: 5000) {
                    try await $0.body.collect()
                }
            }
            #expect(error?.details.reason == .bodyTooLarge)
        }
    }

    @Test
    func `A call whose response is streamed is repeated until the response begins, one with a streamed body never`()
        async throws
    {
        try await test([Self.unavailable, .text("hello"), Self.unavailable]) { client, url, script in
            let body = try await client.stream(.get, url) { try await $0.body.collect() }
            #expect(String(buffer: body) == "hello")
            #expect(script.asked.count == 2)
            let pieces = AsyncStream<ByteBuffer> { $0.finish() }
            let status = try await client.stream(.put, url, body: .init(pieces)) { $0.status }
            #expect(status == .serviceUnavailable)
            #expect(script.asked.count == 3)
        }
    }

    @Test func `A body is sent as it is made, with its length or in chunks`() async throws {
        try await test([]) { client, url, _ in
            func upload(length: Int?) async throws -> String {
                let pieces = AsyncStream<ByteBuffer> { continuation in
                    for _ in 0..<100 { continuation.yield(ByteBuffer(repeating: 1, count: 100_000)) }
                    continuation.finish()
                }
                return try await client.stream(
                    .post, url.replacing("/x", with: "/count"), body: .init(pieces, length: length)
                ) { String(buffer: try await $0.body.collect()) }
            }
            let chunked = try await upload(length: nil)
            let known = try await upload(length: 10_000_000)
            #expect(chunked == "10000000 chunked")
            #expect(known == "10000000 10000000")
        }
    }

    @Test func `An endpoint of another service is called as it is declared`() async throws {
        let endpoint = Endpoint(.get, "x", Query("a b"), answers: Found.self)
        try await test([try .json(["a": 1]), Response(status: .notFound)]) { client, url, script in
            let base = url.replacing("/x", with: "")
            let found = try await client.call(endpoint, at: base, "ü&", headers: [.authorization: "Bearer x"])
            #expect(found.a == 1)
            #expect(script.asked[0].target == "/x?a%20b=%C3%BC%26")
            #expect(script.asked[0].headers[.authorization] == "Bearer x")
            let error = await #expect(throws: UnexpectedResponse.self) {
                try await client.call(endpoint, at: base + "/", "")
            }
            #expect(error?.status == .notFound)
        }
    }

    @Test func `The trace of the work at hand goes along`() async throws {
        let tracer = InMemoryTracer()
        try await test([], tracer: tracer) { client, url, script in
            try await tracer.withSpan("work", context: .topLevel) { _ in _ = try await client.send(.get, url) }
            #expect(tracer.finishedSpans.map(\.operationName) == ["GET", "work"])
            #expect(script.asked[0].headers.fields.contains { $0.name.canonicalName.contains("trace") })
        }
    }
}
