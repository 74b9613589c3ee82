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

/// Returns scripted responses and records the requests.
private final class Script: Sendable {
    private let state: Mutex<(responses: [Response], requests: [Request])>

    init(_ responses: [Response]) { state = Mutex((responses, [])) }

    var requests: [Request] { state.withLock { $0.requests } }

    /// Finishes once an endless response has ended.
    let ended = AsyncStream.makeStream(of: Void.self)

    func end() { ended.continuation.finish() }

    func record(_ request: Request) { state.withLock { $0.requests.append(request) } }

    func next(_ request: Request) -> Response {
        state.withLock { state in
            state.requests.append(request)
            return state.responses.isEmpty ? Response.text("end") : state.responses.removeFirst()
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
                try await Task.sleep(for: .seconds(86_400))
                return .text("late")
            }
            // Starts a response and never completes it.
            routes.get("stalled") { request in
                script.record(request)
                return Response(
                    status: .ok,
                    body: .stream { writer in
                        try await writer.write("begun")
                        try await Task.sleep(for: .seconds(86_400))
                    })
            }
            // Sends a body until the client disconnects.
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

@Suite(.timeLimit(.minutes(10))) struct HTTPClientTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a body with a client and the URL of a server that sends the given responses.
    private func test(
        _ responses: [Response], connectTimeout: Duration = .seconds(600), attemptTimeout: Duration = .seconds(600),
        idleTimeout: Duration = .seconds(600), redirects: Int = 0, budget: RetryBudget = RetryBudget(),
        clock: any WallClock = SystemClock(),
        tracer: InMemoryTracer? = nil, _ body: @Sendable (HTTPClient, String, Script) async throws -> Void
    ) async throws {
        let script = Script(responses)
        var configuration = HTTPClient.Configuration()
        configuration.retries.baseDelay = .milliseconds(1)
        // Unless a test shortens one of them, only a hang exceeds the timeouts.
        configuration.timeout = .seconds(600)
        configuration.connectTimeout = connectTimeout
        configuration.attemptTimeout = attemptTimeout
        configuration.idleTimeout = idleTimeout
        configuration.maximumRedirects = redirects
        let client = HTTPClient(configuration, budget: budget, logger: Self.logger, clock: clock, tracer: tracer)
        do {
            try await App("script") { ScriptModule(script: script) }.test(
                .socket, settings: ["http.request-deadline": "10m"]
            ) { app in
                try await body(client, "http://127.0.0.1:\(app.port ?? 0)/x", script)
            }
        } catch {
            try await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }

    private static let unavailable = Response(status: .serviceUnavailable)

    @Test func `A call returns the response of the server`() async throws {
        try await test([try .json(["a": 1]), Response(status: .notFound)]) { client, url, script in
            let response = try await client.send(
                .post, url + "?q=1", headers: [.contentType: "text/plain"], body: ByteBuffer(string: "hello"))
            #expect(response.status == .ok && response.headers[.contentType] == "application/json")
            #expect(try response.json([String: Int].self) == ["a": 1])
            let notFound = try await client.send(.get, url)
            #expect(notFound.status == .notFound)
            let request = script.requests[0]
            #expect(request.target == "/x?q=1" && request.headers[.contentType] == "text/plain")
        }
    }

    @Test func `An idempotent request is retried until it succeeds or the attempts are used up`() async throws {
        try await test([Self.unavailable, Response(status: .badGateway)]) { client, url, script in
            let response = try await client.send(.get, url)
            #expect(response.body.readableBytes == 3)
            #expect(script.requests.count == 3)
        }
        try await test(Array(repeating: Self.unavailable, count: 9)) { client, url, script in
            let response = try await client.send(.put, url)
            #expect(response.status == .serviceUnavailable)
            #expect(script.requests.count == 3)
        }
    }

    @Test func `A non-idempotent request is retried only if it has an idempotency key`() async throws {
        try await test([Self.unavailable, Self.unavailable]) { client, url, script in
            let response = try await client.send(.post, url)
            #expect(response.status == .serviceUnavailable)
            #expect(script.requests.count == 1)
            let key: HTTPFields = [HTTPField.Name("Idempotency-Key")!: "k"]
            let repeated = try await client.send(.post, url, headers: key)
            #expect(repeated.status == .ok)
            #expect(script.requests.count == 3)
        }
    }

    @Test func `Retry-After is respected, but not waited for beyond the deadline`() async throws {
        let now = Date(timeIntervalSince1970: 784_111_770)
        #expect(HTTPClient.retryAfter("3", now: now) == .seconds(3))
        #expect(HTTPClient.retryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now: now) == .seconds(7))
        for text in ["soon", "-1", "+1", "", "1.5", "99999999999999999999"] {
            #expect(HTTPClient.retryAfter(text, now: now) == nil)
        }
        var busy = Response(status: .tooManyRequests)
        busy.headers[.retryAfter] = "3600"
        try await test([busy, busy]) { client, url, script in
            let response = try await client.send(.get, url)
            #expect(response.status == .tooManyRequests)
            #expect(script.requests.count == 1)
        }
    }

    @Test func `Retries of all calls stay within the shared budget`() async throws {
        let responses = Array(repeating: Response(status: .tooManyRequests), count: 1000)
        try await test(responses, budget: RetryBudget(ratio: 0.1, capacity: 5)) { client, url, script in
            for _ in 0..<100 { _ = try await client.send(.get, url) }
            #expect(script.requests.count <= 100 + 5 + 10)
        }
    }

    @Test func `Calls to a failing host are rejected by its circuit breaker`() async throws {
        let failures = Array(repeating: Response(status: .internalServerError), count: 100)
        try await test(failures, clock: ManualClock()) { client, url, script in
            for _ in 0..<20 {
                let response = try await client.send(.post, url)
                #expect(response.status == .internalServerError)
            }
            let error = await #expect(throws: AppError.self) { try await client.send(.post, url) }
            #expect(error?.details.reason == .circuitOpen)
            #expect(script.requests.count == 20)
        }
    }

    @Test func `The deadline of the current task ends a call`() async throws {
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

    @Test func `An unreachable server fails with unavailable, and a malformed URL with invalidArgument`() async throws {
        // AsyncHTTPClient tries to connect again until the timeout.
        try await test([], connectTimeout: .milliseconds(100)) { client, _, _ in
            let error = await #expect(throws: AppError.self) { try await client.send(.post, "http://127.0.0.1:1/") }
            #expect(error?.code == .unavailable)
            for url in ["", "x", "/x", "ftp://example.org/", "http://", "http:///x"] {
                let error = await #expect(throws: AppError.self) { try await client.send(.get, url) }
                #expect(error?.code == .invalidArgument, "\(url)")
            }
        }
    }

    @Test func `A response body over the limit is rejected`() async throws {
        try await test([.text(String(repeating: "x", count: 100)), .text(String(repeating: "x", count: 101))]) {
            client, url, _ in
            let response = try await client.send(.get, url, limit: 100)
            #expect(response.body.readableBytes == 100)
            let error = await #expect(throws: AppError.self) { try await client.send(.get, url, limit: 100) }
            #expect(error?.details.reason == .bodyTooLarge)
        }
    }

    @Test func `Redirects are followed only if that is configured`() async throws {
        let redirect = Redirect(to: "/x").response(to: Request(method: .get, target: "/"))
        try await test([redirect]) { client, url, _ in
            let response = try await client.send(.get, url)
            #expect(response.status == .seeOther)
        }
        try await test([redirect], redirects: 1) { client, url, _ in
            let response = try await client.send(.get, url)
            #expect(response.status == .ok)
        }
    }

    @Test func `A body that stalls ends with the attempt timeout, the deadline or the idle timeout`() async throws {
        // On a slow machine, an attempt may end before it reaches the server.
        let count = Mutex(0)
        for timeout in [Duration.milliseconds(200), .seconds(2), .seconds(20)] where count.withLock({ $0 }) != 3 {
            try await test([], attemptTimeout: timeout) { client, url, script in
                let stalled = url.replacing("/x", with: "/stalled")
                let error = await #expect(throws: AppError.self) { try await client.send(.get, stalled) }
                #expect(error?.code == .unavailable)
                count.withLock { $0 = script.requests.count }
            }
        }
        #expect(count.withLock { $0 } == 3)
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

    @Test func `A streamed body can be read partially, and the server then stops sending`() async throws {
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
    func `A call with a streamed response is retried until the response begins, one with a streamed body never`()
        async throws
    {
        try await test([Self.unavailable, .text("hello"), Self.unavailable]) { client, url, script in
            let body = try await client.stream(.get, url) { try await $0.body.collect() }
            #expect(String(buffer: body) == "hello")
            #expect(script.requests.count == 2)
            let pieces = AsyncStream<ByteBuffer> { $0.finish() }
            let status = try await client.stream(.put, url, body: .init(pieces)) { $0.status }
            #expect(status == .serviceUnavailable)
            #expect(script.requests.count == 3)
        }
    }

    @Test func `A request body is streamed, with its length or in chunks`() async throws {
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

    @Test func `A declared endpoint of another service can be called`() async throws {
        let endpoint = Endpoint(.get, "x", Query("a b"), answers: Found.self)
        try await test([try .json(["a": 1]), Response(status: .notFound)]) { client, url, script in
            let base = url.replacing("/x", with: "")
            let found = try await client.call(endpoint, at: base, "ü&", headers: [.authorization: "Bearer x"])
            #expect(found.a == 1)
            #expect(script.requests[0].target == "/x?a%20b=%C3%BC%26")
            #expect(script.requests[0].headers[.authorization] == "Bearer x")
            let error = await #expect(throws: UnexpectedResponse.self) {
                try await client.call(endpoint, at: base + "/", "")
            }
            #expect(error?.status == .notFound)
        }
    }

    @Test func `The trace context of the current task is propagated`() async throws {
        let tracer = InMemoryTracer()
        try await test([], tracer: tracer) { client, url, script in
            try await tracer.withSpan("work", context: .topLevel) { _ in _ = try await client.send(.get, url) }
            #expect(tracer.finishedSpans.map(\.operationName) == ["GET", "work"])
            #expect(script.requests[0].headers.fields.contains { $0.name.canonicalName.contains("trace") })
        }
    }
}
