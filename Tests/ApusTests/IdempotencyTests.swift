import Apus
import ApusPostgres
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
            routes.group("items", Caller(), IdempotencyKeys(database)) { routes in
                routes.post("", RawBody()) { body in
                    let call = calls.next()
                    if String(buffer: body) == "fail-\(call)" { throw AppError(.unavailable, "Not now.") }
                    return Created("item \(call)", at: "/items/\(call)")
                }
            }
            routes.group("large", Caller(), IdempotencyKeys(database)) { routes in
                routes.post("", RawBody()) { body in "\(body.readableBytes)" }.bodyLimit(4 << 20)
            }
            routes.group("strict", Caller(), IdempotencyKeys(database, isRequired: true)) { $0.post("") { "ok" } }
            routes.group("anonymous", IdempotencyKeys(database)) { $0.post("") { "ok" } }
        }
    }
}

/// Sets the principal named by the `X-Caller` header, or `ada` if there is none.
private struct Caller: Middleware {
    static let field = HTTPField.Name("X-Caller")!

    struct Named: Principal {
        let subject: String
    }

    func handle(_ request: Request, next: Next) async -> Response {
        request.context.principal = Named(subject: request.headers[Self.field] ?? "ada")
        return await next(request)
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

    private func withClient(
        on database: TestDatabase, _ body: @Sendable (TestClient) async throws -> Void
    ) async throws {
        let app = App("items", engines: SQLiteEngine(), PostgresEngine()) { CounterModule(calls: Counter()) }
        try await app.test(on: database) { try await body($0.client) }
    }

    @Test(arguments: TestDatabase.available) func `A retry receives the same response and does not run again`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            let first = try await client.send(.post, "/items", headers: [key: "\"k1\""], body: ByteBuffer(string: "a"))
            let second = try await client.send(.post, "/items", headers: [key: "k1"], body: ByteBuffer(string: "a"))
            #expect(first.status == .created)
            #expect(second.status == .created)
            #expect(second.text == first.text)
            #expect(second.headers[.location] == "/items/1")
            let other = try await client.send(.post, "/items", headers: [key: "k2"], body: ByteBuffer(string: "a"))
            #expect(other.headers[.location] == "/items/2")
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Of concurrent requests with the same key, one runs and the others receive its response or 409`(
        database: TestDatabase
    )
        async throws
    {
        try await withClient(on: database) { client in
            let responses = try await withThrowingTaskGroup(of: ClientResponse.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await client.send(.post, "/items", headers: [key: "k"], body: ByteBuffer(string: "a"))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let done = responses.filter { $0.status == .created }
            #expect(!done.isEmpty && Set(done.map { $0.headers[.location] }) == ["/items/1"])
            #expect(responses.filter { $0.status != .created }.allSatisfy { $0.status == .conflict })
        }
    }

    @Test(arguments: TestDatabase.available) func `A key whose first request is still running is 409`(
        database: TestDatabase
    ) async throws {
        let (begun, finish) = (Gate(), Gate())
        struct SlowModule: Module {
            let begun: Gate
            let finish: Gate

            func configure(_ app: inout AppBuilder) {
                app.migrations.add(CreateIdempotencyKeys.self)
                app.routes { [begun, finish] routes, container in
                    routes.group(Caller(), IdempotencyKeys(try container.resolve())) { routes in
                        routes.post("slow") {
                            begun.open()
                            try await finish.wait()
                            return "done"
                        }
                    }
                }
            }
        }
        try await App("slow", engines: SQLiteEngine(), PostgresEngine()) { SlowModule(begun: begun, finish: finish) }
            .test(on: database) { app in
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

    @Test(arguments: TestDatabase.available) func `The same key with a different request is 422`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            _ = try await client.send(.post, "/items", headers: [key: "k"], body: ByteBuffer(string: "a"))
            let reused = try await client.send(.post, "/items", headers: [key: "k"], body: ByteBuffer(string: "b"))
            #expect(reused.status.code == 422)
            #expect(try reused.problem().reason == "IDEMPOTENCY_KEY_REUSED")
        }
    }

    @Test(arguments: TestDatabase.available) func `The same bytes with another media type are a different request`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            var statuses: [Int] = []
            for type in ["text/plain", "text/csv", "text/plain"] {
                let headers: HTTPFields = [key: "k", .contentType: type]
                let response = try await client.send(.post, "/items", headers: headers, body: ByteBuffer(string: "a"))
                statuses.append(response.status.code)
            }
            #expect(statuses == [201, 422, 201])
        }
    }

    @Test(arguments: TestDatabase.available) func `A trailing slash does not make a different request, a query does`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            func place(_ target: String) async throws -> ClientResponse {
                try await client.send(.post, target, headers: [key: "k"], body: ByteBuffer(string: "a"))
            }
            let responses = [try await place("/items"), try await place("/items/"), try await place("/items?x=1")]
            #expect(responses.map(\.status.code) == [201, 201, 422])
            #expect(responses[1].headers[.location] == "/items/1")
        }
    }

    @Test(arguments: TestDatabase.available) func `A body above the default limit is accepted if the route allows it`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            let body = ByteBuffer(repeating: 0x61, count: 2 << 20)
            let response = try await client.send(.post, "/large", headers: [key: "k"], body: body)
            #expect(response.text == "2097152")
        }
    }

    @Test(arguments: TestDatabase.available) func `A failure is not stored, and the request can be retried`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            let failed = try await client.send(
                .post, "/items", headers: [key: "k"], body: ByteBuffer(string: "fail-1"))
            #expect(failed.status == .serviceUnavailable)
            let again = try await client.send(.post, "/items", headers: [key: "k"], body: ByteBuffer(string: "fail-1"))
            #expect(again.status == .created)
        }
    }

    @Test(arguments: TestDatabase.available) func `A malformed key or a missing required key is 400`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            for bad in ["", "\"\"", String(repeating: "x", count: 256), "a\"b", "\"a\u{301}", "\" a\""] {
                let refused = try await client.post("/items", headers: [key: bad])
                #expect(refused.status == .badRequest)
            }
            let (without, with) = (
                try await client.post("/strict"), try await client.post("/strict", headers: [key: "k"])
            )
            #expect(without.status == .badRequest)
            #expect(with.status == .ok)
        }
    }

    @Test(arguments: TestDatabase.available) func `A key belongs to its caller, and a key without a caller is rejected`(
        database: TestDatabase
    ) async throws {
        try await withClient(on: database) { client in
            func place(_ caller: String) async throws -> String? {
                try await client.post("/items", headers: [key: "k", Caller.field: caller]).headers[.location]
            }
            #expect(try await place("ada") == "/items/1")
            #expect(try await place("grace") == "/items/2")
            #expect(try await place("ada") == "/items/1")
            let refused = try await client.post("/anonymous", headers: [key: "k"])
            #expect(refused.status == .badRequest)
            #expect(try await client.post("/anonymous").status == .ok)
        }
    }

    /// Runs a closure with an app whose routes use idempotency keys, on a manual clock.
    private func withRoutes(
        on database: TestDatabase, _ declare: @escaping @Sendable (Routes, any Database) throws -> Void,
        _ body: @Sendable (TestApp, any Database, ManualClock) async throws -> Void
    ) async throws {
        struct ItemModule: Module {
            let declare: @Sendable (Routes, any Database) throws -> Void
            let clock: ManualClock

            func configure(_ app: inout AppBuilder) {
                app.migrations.add(CreateIdempotencyKeys.self, CreateItems.self)
                app.routes { [declare, clock] routes, container in
                    let database: any Database = try container.resolve()
                    try routes.group(Caller(), IdempotencyKeys(database, clock: clock)) { try declare($0, database) }
                }
            }
        }
        let clock = ManualClock()
        try await App("items", engines: SQLiteEngine(), PostgresEngine()) { ItemModule(declare: declare, clock: clock) }
            .test(
                on: database
            ) { app in
                try await body(app, try app.resolve((any Database).self), clock)
            }
    }

    private enum CreateItems: Migration {
        static let id = "create-items"
        static let statements: [SQL] = ["CREATE TABLE items (name TEXT)"]
    }

    private static func count(_ database: any Database) async throws -> Int {
        try await database.query("SELECT COUNT(*) FROM items").first?.get(0) ?? -1
    }

    @Test(arguments: TestDatabase.available) func `No transaction is open while the handler runs`(
        database: TestDatabase
    ) async throws {
        let (begun, finish) = (Gate(), Gate())
        try await withRoutes(on: database) { routes, _ in
            routes.post("slow") {
                begun.open()
                try await finish.wait()
                return "done"
            }
        } _: { app, database, _ in
            async let slow = app.client.post("/slow", headers: [key: "k"])
            try await begun.wait()
            try await database.transaction { try await database.execute("INSERT INTO items VALUES ('other')") }
            finish.open()
            #expect(try await slow.text == "done")
        }
    }

    @Test(arguments: TestDatabase.available) func `An error after a commit is stored and returned to retries`(
        database: TestDatabase
    ) async throws {
        let calls = Counter()
        try await withRoutes(on: database) { routes, database in
            routes.post("half") { () -> String in
                try await database.execute("INSERT INTO items VALUES ('half')")
                throw AppError(.unavailable, "Call \(calls.next()): the second half failed.")
            }
        } _: { app, database, _ in
            for _ in 0..<3 {
                let response = try await app.client.post("/half", headers: [key: "k"])
                #expect(response.status == .serviceUnavailable)
                #expect(try response.problem().detail == "Call 1: the second half failed.")
            }
            #expect(try await Self.count(database) == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `An error after a rollback is not stored, and the request can be retried`(
        database: TestDatabase
    ) async throws {
        let calls = Counter()
        try await withRoutes(on: database) { routes, database in
            routes.post("undone") { () -> String in
                guard calls.next() > 1 else {
                    return try await database.transaction {
                        try await database.execute("INSERT INTO items VALUES ('undone')")
                        throw AppError(.aborted, "Not now.")
                    }
                }
                try await database.transaction { try await database.execute("INSERT INTO items VALUES ('done')") }
                return "done"
            }
        } _: { app, database, _ in
            let first = try await app.client.post("/undone", headers: [key: "k"])
            #expect(first.status == .conflict)
            #expect(try await app.client.post("/undone", headers: [key: "k"]).text == "done")
            #expect(try await app.client.post("/undone", headers: [key: "k"]).text == "done")
            #expect(try await Self.count(database) == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `After the lease of a dead process, its key is free unless changes were committed`(
        database: TestDatabase
    )
        async throws
    {
        try await withRoutes(on: database) { routes, database in
            routes.post("place") {
                try await database.execute("INSERT INTO items VALUES ('x')")
                return "placed"
            }
        } _: { app, database, clock in
            for (key, isCommitted) in [("a", 0), ("b", 1)] {
                _ = try await app.client.post("/place", headers: [self.key: key])
                // The state after a process died before it recorded its response.
                try await database.execute(
                    """
                    UPDATE apus_idempotency_keys SET status = NULL, claimed_until = \(clock.now + 10),
                        is_committed = \(isCommitted)
                    WHERE idempotency_key = \(key)
                    """)
                let early = try await app.client.post("/place", headers: [self.key: key])
                #expect(try early.problem().reason == "IDEMPOTENCY_KEY_IN_USE")
            }
            clock.advance(by: .seconds(10))
            #expect(try await app.client.post("/place", headers: [key: "a"]).text == "placed")
            let interrupted = try await app.client.post("/place", headers: [key: "b"])
            #expect(interrupted.status == .conflict)
            #expect(try interrupted.problem().reason == "IDEMPOTENCY_KEY_INTERRUPTED")
            #expect(try await Self.count(database) == 3)
        }
    }

    @Test(arguments: TestDatabase.available) func `A response recorded in the handler's transaction survives a crash`(
        database: TestDatabase
    ) async throws {
        try await withRoutes(on: database) { routes, database in
            routes.post("place") {
                try await database.transaction {
                    try await database.execute("INSERT INTO items VALUES ('x')")
                    return try await IdempotencyKeys.record(Created("item", at: "/items/1"))
                }
            }
            routes.post("recorded-and-failed") { () -> String in
                try await IdempotencyKeys.record("never sent")
                throw AppError(.unavailable, "Not now.")
            }
        } _: { app, database, clock in
            let other = try await app.client.post("/recorded-and-failed", headers: [key: "f"])
            #expect(other.status == .serviceUnavailable)
            _ = try await app.client.post("/place", headers: [key: "k"])
            // The state after a process died after the commit.
            try await database.execute("UPDATE apus_idempotency_keys SET claimed_until = \(clock.now)")
            let again = try await app.client.post("/place", headers: [key: "k"])
            #expect(again.status == .created)
            #expect(again.headers[.location] == "/items/1")
            #expect(try await app.client.post("/place").status == .created)
            #expect(try await Self.count(database) == 2)
        }
    }

    @Test(arguments: TestDatabase.available) func `A request that has lost its claim cannot commit`(
        database: TestDatabase
    ) async throws {
        let (begun, finish) = (Gate(), Gate())
        let calls = Counter()
        try await withRoutes(on: database) { routes, database in
            routes.post("place") {
                let call = calls.next()
                if call == 1 {
                    begun.open()
                    try await finish.wait()
                }
                try await database.execute("INSERT INTO items VALUES (\("call \(call)"))")
                return "call \(call)"
            }
        } _: { app, database, clock in
            async let first = app.client.post("/place", headers: [key: "k"])
            try await begun.wait()
            // As if the lease had expired while the process was suspended.
            try await database.execute("UPDATE apus_idempotency_keys SET claimed_until = \(clock.now)")
            #expect(try await app.client.post("/place", headers: [key: "k"]).text == "call 2")
            finish.open()
            #expect(try await first.status == .conflict)
            #expect(try await Self.count(database) == 1)
            #expect(try await app.client.post("/place", headers: [key: "k"]).text == "call 2")
        }
    }

    @Test(arguments: TestDatabase.available) func `A claim is renewed while the handler runs`(
        database: TestDatabase
    ) async throws {
        let (begun, finish) = (Gate(), Gate())
        try await withRoutes(on: database) { routes, _ in
            routes.post("slow") {
                begun.open()
                try await finish.wait()
                return "done"
            }
        } _: { app, database, clock in
            async let slow = app.client.post("/slow", headers: [key: "k"])
            try await begun.wait()
            for _ in 0..<5 {
                await clock.sleepers(1)
                clock.advance(by: .seconds(4))
            }
            await clock.sleepers(1)
            let again = try await app.client.post("/slow", headers: [key: "k"])
            #expect(try again.problem().reason == "IDEMPOTENCY_KEY_IN_USE")
            finish.open()
            #expect(try await slow.text == "done")
        }
    }

    @Test(arguments: TestDatabase.available) func `Header fields for a single caller or response are not stored`(
        database: TestDatabase
    ) async throws {
        try await withRoutes(on: database) { routes, _ in
            routes.post("login") {
                var response = Response.text("welcome")
                try response.set(SetCookie("token", "secret"))
                response.headers[HTTPField.Name("X-Kind")!] = "first"
                return response
            }
        } _: { app, _, _ in
            let first = try await app.client.post("/login", headers: [key: "k"])
            let second = try await app.client.post("/login", headers: [key: "k"])
            #expect(first.headers[.setCookie] != nil)
            #expect(second.text == "welcome")
            #expect(second.headers[.setCookie] == nil)
            #expect(second.headers[HTTPField.Name("X-Kind")!] == "first")
            #expect(second.headers[HTTPField.Name("X-Request-Id")!] != first.headers[HTTPField.Name("X-Request-Id")!])
        }
    }

    @Test(arguments: TestDatabase.available) func `Around Sessions, neither cookies nor sessions are shared by retries`(
        database: TestDatabase
    ) async throws {
        struct Shop: Module {
            func configure(_ app: inout AppBuilder) throws {
                app.migrations.add(CreateIdempotencyKeys.self)
                let sessions = try Sessions(
                    MemorySessionStore(), secrets: [Secret("a secret of a test, thirty-two bytes long")])
                let calls = Counter()
                app.routes { routes, container in
                    let keys = IdempotencyKeys(try container.resolve())
                    routes.group("known", Caller(), keys, sessions) { routes in
                        routes.post("buy", Session.Current()) { session in
                            let call = calls.next()
                            try session.set("bought", call)
                            return "bought \(call)"
                        }
                    }
                    routes.group("anonymous", keys, sessions) { $0.post("buy") { "bought" } }
                }
            }
        }
        try await App("shop", engines: SQLiteEngine(), PostgresEngine()) { Shop() }.test(on: database) { app in
            let first = try await app.client.post("/known/buy", headers: [key: "k"])
            #expect(first.text == "bought 1")
            let cookie = try #require(first.headers[.setCookie]?.prefix { $0 != ";" })
            let second = try await app.client.post("/known/buy", headers: [key: "k"])
            #expect(second.text == "bought 1")
            #expect(second.headers[.setCookie] == nil)
            let other = try await app.client.post("/known/buy", headers: [key: "k", Caller.field: "grace"])
            #expect(other.text == "bought 2")
            let anonymous = try await app.client.post(
                "/anonymous/buy", headers: [key: "k", .cookie: String(cookie)])
            #expect(anonymous.status == .badRequest)
        }
    }

    @Test(arguments: TestDatabase.available) func `Without a principal, a key belongs to the session of the request`(
        database: TestDatabase
    ) async throws {
        struct Shop: Module {
            func configure(_ app: inout AppBuilder) throws {
                app.migrations.add(CreateIdempotencyKeys.self)
                let sessions = try Sessions(
                    MemorySessionStore(), secrets: [Secret("a secret of a test, thirty-two bytes long")])
                let calls = Counter()
                app.routes { routes, container in
                    routes.group(sessions, IdempotencyKeys(try container.resolve())) { routes in
                        routes.get("start", Session.Current()) { session in
                            try session.set("a", 1)
                            return "started"
                        }
                        routes.post("buy") { "bought \(calls.next())" }
                    }
                }
            }
        }
        try await App("shop", engines: SQLiteEngine(), PostgresEngine()) { Shop() }.test(on: database) { app in
            func cookie() async throws -> String {
                let field = try await app.client.get("/start").headers[.setCookie] ?? ""
                return String(field.prefix { $0 != ";" })
            }
            let (one, other) = (try await cookie(), try await cookie())
            func buy(_ cookie: String) async throws -> ClientResponse {
                try await app.client.post("/buy", headers: [key: "k", .cookie: cookie])
            }
            #expect(try await buy(one).text == "bought 1")
            #expect(try await buy(one).text == "bought 1")
            #expect(try await buy(other).text == "bought 2")
            #expect(try await buy("").status == .badRequest)
        }
    }
}
