import Apus
import ApusSQLite
import ApusTesting
import Synchronization
import Testing

private struct CounterModule: Module {
    let calls: Counter

    func configure(_ app: inout AppBuilder) {
        let calls = calls
        app.migrations.add(CreateIdempotencyKeys.self)
        app.routes { routes, container in
            let database: any Database = try container.resolve()
            routes.group("things", IdempotencyKeys(database)) { routes in
                routes.post("", RawBody()) { body in
                    let call = calls.next()
                    if String(buffer: body) == "fail-\(call)" { throw AppError(.unavailable, "Not now.") }
                    return Created("thing \(call)", at: "/things/\(call)")
                }
            }
            routes.group("large", IdempotencyKeys(database)) { routes in
                routes.post("", RawBody()) { body in "\(body.readableBytes)" }.bodyLimit(4 << 20)
            }
            routes.group("strict", IdempotencyKeys(database, isRequired: true)) { $0.post("") { "ok" } }
        }
    }
}

private final class Counter: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}

@Suite struct IdempotencyTests {
    private let key = HTTPField.Name("Idempotency-Key")!

    private func withClient(_ body: @Sendable (TestClient) async throws -> Void) async throws {
        let app = App("things", engines: SQLiteEngine()) { CounterModule(calls: Counter()) }
        try await app.test { try await body($0.client) }
    }

    @Test func `A repeated request is done once and answered alike`() async throws {
        try await withClient { client in
            let first = try await client.send(.post, "/things", headers: [key: "\"k1\""], body: ByteBuffer(string: "a"))
            let second = try await client.send(.post, "/things", headers: [key: "k1"], body: ByteBuffer(string: "a"))
            #expect(first.status == .created)
            #expect(second.status == .created)
            #expect(second.text == first.text)
            #expect(second.headers[.location] == "/things/1")
            let other = try await client.send(.post, "/things", headers: [key: "k2"], body: ByteBuffer(string: "a"))
            #expect(other.headers[.location] == "/things/2")
        }
    }

    @Test func `Of many at once with the same key one is done, and the others hear of it or that it is under way`()
        async throws
    {
        try await withClient { client in
            let answers = try await withThrowingTaskGroup(of: ClientResponse.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await client.send(.post, "/things", headers: [key: "k"], body: ByteBuffer(string: "a"))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let done = answers.filter { $0.status == .created }
            #expect(!done.isEmpty && Set(done.map { $0.headers[.location] }) == ["/things/1"])
            #expect(answers.filter { $0.status != .created }.allSatisfy { $0.status == .conflict })
        }
    }

    @Test func `A key that comes back while its request is being done is 409`() async throws {
        let (begun, finish) = (Gate(), Gate())
        struct SlowModule: Module {
            let begun: Gate
            let finish: Gate

            func configure(_ app: inout AppBuilder) {
                app.migrations.add(CreateIdempotencyKeys.self)
                app.routes { [begun, finish] routes, container in
                    routes.group(IdempotencyKeys(try container.resolve())) { routes in
                        routes.post("slow") {
                            begun.open()
                            try await finish.wait()
                            return "done"
                        }
                    }
                }
            }
        }
        try await App("slow", engines: SQLiteEngine()) { SlowModule(begun: begun, finish: finish) }.test { app in
            let headers: HTTPFields = [key: "k"]
            async let first = app.client.post("/slow", headers: headers)
            try await begun.wait()
            let second = try await app.client.post("/slow", headers: headers)
            #expect(second.status == .conflict)
            #expect(try second.problem().reason == "IDEMPOTENCY_KEY_IN_USE")
            #expect(second.headers[.retryAfter] == "1")
            finish.open()
            #expect(try await first.text == "done")
            #expect(try await app.client.post("/slow", headers: headers).text == "done")
        }
    }

    @Test func `The same key with another request is 422`() async throws {
        try await withClient { client in
            _ = try await client.send(.post, "/things", headers: [key: "k"], body: ByteBuffer(string: "a"))
            let reused = try await client.send(.post, "/things", headers: [key: "k"], body: ByteBuffer(string: "b"))
            #expect(reused.status.code == 422)
            #expect(try reused.problem().reason == "IDEMPOTENCY_KEY_REUSED")
        }
    }

    @Test func `A trailing slash makes no other request, another query does`() async throws {
        try await withClient { client in
            func place(_ target: String) async throws -> ClientResponse {
                try await client.send(.post, target, headers: [key: "k"], body: ByteBuffer(string: "a"))
            }
            let answers = [try await place("/things"), try await place("/things/"), try await place("/things?x=1")]
            #expect(answers.map(\.status.code) == [201, 201, 422])
            #expect(answers[1].headers[.location] == "/things/1")
        }
    }

    @Test func `A body past the default limit passes where the route allows it`() async throws {
        try await withClient { client in
            let body = ByteBuffer(repeating: 0x61, count: 2 << 20)
            let answer = try await client.send(.post, "/large", headers: [key: "k"], body: body)
            #expect(answer.text == "2097152")
        }
    }

    @Test func `A failure is not kept: the request may be repeated`() async throws {
        try await withClient { client in
            let failed = try await client.send(
                .post, "/things", headers: [key: "k"], body: ByteBuffer(string: "fail-1"))
            #expect(failed.status == .serviceUnavailable)
            let again = try await client.send(.post, "/things", headers: [key: "k"], body: ByteBuffer(string: "fail-1"))
            #expect(again.status == .created)
        }
    }

    @Test func `A malformed key, or a missing one where it is required, is 400`() async throws {
        try await withClient { client in
            for bad in ["", "\"\"", String(repeating: "x", count: 256), "a\"b"] {
                let refused = try await client.post("/things", headers: [key: bad])
                #expect(refused.status == .badRequest)
            }
            let (without, with) = (
                try await client.post("/strict"), try await client.post("/strict", headers: [key: "k"])
            )
            #expect(without.status == .badRequest)
            #expect(with.status == .ok)
        }
    }
}
