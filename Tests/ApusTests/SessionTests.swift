import Apus
import ApusPostgres
import ApusSQLite
import ApusTesting
import Testing

@Suite struct SessionTests {
    private static let secret = Secret("a secret of a test, thirty-two bytes long")

    /// A browser, which stores the cookie it receives.
    private final class Browser {
        let handler: Handler
        let isSecure: Bool
        var cookie: String?
        var lastField: String?

        init(_ handler: @escaping Handler, isSecure: Bool = false) {
            self.handler = handler
            self.isSecure = isSecure
        }

        func get(_ target: String) async throws -> String {
            var headers: RequestHeaders = [:]
            headers[.cookie] = cookie
            let request = Request(method: .get, target: target, headers: headers, isSecure: isSecure)
            let response = try await handler(request)
            lastField = response.headers[.setCookie]
            if let field = lastField { cookie = String(field.prefix { $0 != ";" }) }
            guard case .text(let text) = response.body else { return "" }
            return text
        }
    }

    private func handler(
        _ store: any SessionStore, _ clock: ManualClock = ManualClock(), secrets: [Secret<String>] = [secret]
    ) throws -> Handler {
        let routes = Routes()
        routes.group(try Sessions(store, secrets: secrets, clock: clock)) { routes in
            routes.get("read", Session.Current()) { session in
                "\(try session.get("count", as: Int.self) ?? 0) \(session.isNew)"
            }
            routes.get("count", Session.Current()) { session in
                let count = (try session.get("count", as: Int.self) ?? 0) + 1
                try session.set("count", count)
                return "\(count)"
            }
            routes.get("login", Session.Current()) { session in
                try session.renew()
                try session.set("count", 100)
                return "in"
            }
            routes.get("logout", Session.Current()) { session in
                try session.end()
                return "out"
            }
            routes.get("banned", Session.Current()) { session -> String in
                try session.end()
                throw AppError(.permissionDenied, "You are banned.")
            }
            routes.get("banned-page", Session.Current()) { session in
                try session.end()
                return Response.text("You are banned.", status: .forbidden)
            }
            routes.get("promoted", Session.Current()) { session -> String in
                try session.renew()
                throw AppError(.permissionDenied, "Log in again.")
            }
            routes.get("forget", Session.Current()) { session in
                try session.remove("count")
                return "forgotten"
            }
            routes.get("failed-login", Session.Current()) { session -> String in
                try session.set("count", (try session.get("count", as: Int.self) ?? 0) + 1)
                throw AppError(.unauthenticated, "The password is wrong.")
            }
            routes.get("farewell", Session.Current()) { session in
                try session.end()
                try session.set("count", 7)
                return "bye"
            }
        }
        let router = try Router(routes)
        return { await router.respond(to: $0) }
    }

    /// Runs a closure with each session store.
    private func withStores(_ body: (any SessionStore) async throws -> Void) async throws {
        try await body(MemorySessionStore())
        for database in TestDatabase.available {
            try await database.run(SQLiteEngine(), PostgresEngine(), migrations: [CreateSessions.self]) { database in
                try await body(SQLSessionStore(database))
            }
        }
    }

    @Test func `A store inserts, replaces, extends and deletes sessions`() async throws {
        try await withStores { store in
            let start = Date(timeIntervalSince1970: 1000)
            #expect(try await store.load("a", now: start) == nil)
            let first = StoredSession([1, 2], expiresAt: start + 10)
            try await store.insert("a", first)
            try await store.insert("b", StoredSession([], expiresAt: start + 10))
            #expect(try await store.load("a", now: start) == first)
            #expect(try await store.load("a", now: start + 10) == nil)
            let second = StoredSession([3], expiresAt: start + 10, version: 2)
            #expect(try await !store.replace("a", version: 2, by: "a", second))
            #expect(try await store.replace("a", version: 1, by: "a", second))
            #expect(try await !store.replace("a", version: 1, by: "a", first))
            #expect(try await !store.replace("none", version: 1, by: "none", first))
            try await store.extend("a", until: start + 20)
            try await store.extend("none", until: start + 20)
            #expect(try await store.load("none", now: start) == nil)
            #expect(try await store.load("a", now: start + 15)?.data == [3])
            #expect(
                try await store.replace("a", version: 2, by: "c", StoredSession([4], expiresAt: start + 20, version: 3))
            )
            #expect(try await store.load("a", now: start) == nil)
            #expect(try await store.load("c", now: start)?.data == [4])
            try await store.deleteExpired(now: start + 15)
            #expect(try await store.load("b", now: start) == nil)
            #expect(try await store.load("c", now: start) != nil)
            try await store.delete("c")
            try await store.delete("c")
            #expect(try await store.load("c", now: start) == nil)
        }
    }

    @Test func `A session persists across the requests of one browser only`() async throws {
        try await withStores { store in
            let handler = try handler(store)
            let (one, other) = (Browser(handler), Browser(handler))
            #expect(try await one.get("/read") == "0 true")
            #expect(one.lastField == nil)
            for count in 1...3 { #expect(try await one.get("/count") == "\(count)") }
            #expect(try await one.get("/read") == "3 false")
            #expect(try await other.get("/read") == "0 true")
        }
    }

    @Test func `The cookie is HttpOnly, and over TLS Secure with the __Host- prefix`() async throws {
        let handler = try handler(MemorySessionStore())
        let (plain, secure) = (Browser(handler), Browser(handler, isSecure: true))
        _ = try await plain.get("/count")
        _ = try await secure.get("/count")
        #expect(plain.lastField?.hasPrefix("session=") == true)
        #expect(plain.lastField?.hasSuffix("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax") == true)
        #expect(secure.lastField?.hasPrefix("__Host-session=") == true)
        #expect(secure.lastField?.hasSuffix("; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax") == true)
    }

    @Test func `A login issues a new cookie and invalidates the old one`() async throws {
        try await withStores { store in
            let handler = try handler(store)
            let (victim, attacker) = (Browser(handler), Browser(handler))
            _ = try await attacker.get("/count")
            victim.cookie = attacker.cookie
            _ = try await victim.get("/login")
            #expect(victim.cookie != attacker.cookie)
            #expect(try await victim.get("/read") == "100 false")
            #expect(try await attacker.get("/read") == "0 true")
            let stolen = victim.cookie
            _ = try await victim.get("/logout")
            #expect(victim.lastField?.contains("Max-Age=0") == true)
            attacker.cookie = stolen
            #expect(try await attacker.get("/read") == "0 true")
        }
    }

    @Test func `A session expires after its idle timeout and after its maximum lifetime`() async throws {
        try await withStores { store in
            let clock = ManualClock()
            let browser = Browser(try handler(store, clock))
            _ = try await browser.get("/count")
            for _ in 0..<29 {
                clock.advance(by: .seconds(86000))
                #expect(try await browser.get("/read") == "1 false")
            }
            clock.advance(by: .seconds(86401))
            #expect(try await browser.get("/read") == "0 true")
            _ = try await browser.get("/count")
            for _ in 0..<60 {
                clock.advance(by: .seconds(43200))
                _ = try await browser.get("/count")
            }
            #expect(try await browser.get("/read") != "61 false")
        }
    }

    /// Runs a slow request of a browser, and a closure while its handler waits.
    private func withSlowRequest(
        _ store: any SessionStore, _ clock: ManualClock, _ cookie: String?,
        _ change: @escaping @Sendable (Session) throws -> Void, _ meanwhile: () async throws -> Void
    ) async throws -> Response {
        let (begun, finish) = (Gate(), Gate())
        let routes = Routes()
        routes.group(try Sessions(store, secrets: [Self.secret], clock: clock)) { routes in
            routes.get("slow", Session.Current()) { session in
                begun.open()
                try await finish.wait()
                try change(session)
                return "slow"
            }
        }
        let router = try Router(routes)
        var headers: RequestHeaders = [:]
        headers[.cookie] = cookie
        async let slow = router.respond(to: Request(method: .get, target: "/slow", headers: headers))
        try await begun.wait()
        try await meanwhile()
        finish.open()
        return await slow
    }

    @Test func `A request without changes does not undo the changes of a concurrent request`() async throws {
        try await withStores { store in
            let clock = ManualClock()
            let browser = Browser(try handler(store, clock))
            _ = try await browser.get("/count")
            clock.advance(by: .seconds(43200))
            _ = try await withSlowRequest(store, clock, browser.cookie, { _ in }) {
                _ = try await browser.get("/count")
            }
            #expect(try await browser.get("/read") == "2 false")
        }
    }

    @Test(arguments: ["/logout", "/login", "/banned"])
    func `A slow request does not restore a session that was ended or renewed meanwhile`(meanwhile: String) async throws
    {
        try await withStores { store in
            let clock = ManualClock()
            let browser = Browser(try handler(store, clock))
            _ = try await browser.get("/count")
            let old = browser.cookie
            let response = try await withSlowRequest(store, clock, old, { try $0.set("count", 50) }) {
                _ = try await browser.get(meanwhile)
            }
            #expect(response.headers[.setCookie] == nil)
            browser.cookie = old
            #expect(try await browser.get("/read") == "0 true")
        }
    }

    @Test func `A slow login into an ended session starts without its old values`() async throws {
        try await withStores { store in
            let clock = ManualClock()
            let browser = Browser(try handler(store, clock))
            _ = try await browser.get("/count")
            let login: @Sendable (Session) throws -> Void = { session in
                try session.renew()
                try session.set("user", "ada")
            }
            let response = try await withSlowRequest(store, clock, browser.cookie, login) {
                _ = try await browser.get("/logout")
            }
            browser.cookie = response.headers[.setCookie].map { String($0.prefix { $0 != ";" }) }
            #expect(try await browser.get("/read") == "0 false")
        }
    }

    @Test func `Different values set by concurrent requests are all stored`() async throws {
        try await withStores { store in
            let clock = ManualClock()
            let browser = Browser(try handler(store, clock))
            _ = try await browser.get("/count")
            let outer = try await withSlowRequest(store, clock, browser.cookie, { try $0.set("a", 1) }) {
                _ = try await withSlowRequest(store, clock, browser.cookie, { try $0.set("b", 2) }) {
                    _ = try await browser.get("/count")
                }
            }
            #expect(outer.status == .ok)
            let stored = try await withSlowRequest(
                store, clock, browser.cookie,
                { session in
                    let values: [Int?] = [try session.get("a"), try session.get("b"), try session.get("count")]
                    #expect(values == [1, 2, 2])
                }
            ) {}
            #expect(stored.status == .ok)
        }
    }

    @Test func `Session changes are stored even if the handler throws`() async throws {
        try await withStores { store in
            let browser = Browser(try handler(store))
            _ = try await browser.get("/failed-login")
            _ = try await browser.get("/failed-login")
            #expect(try await browser.get("/read") == "2 false")
            let cookie = browser.cookie
            _ = try await browser.get("/banned")
            #expect(browser.lastField?.contains("Max-Age=0") == true)
            browser.cookie = cookie
            #expect(try await browser.get("/read") == "0 true")
        }
    }

    @Test(arguments: ["/banned", "/banned-page", "/promoted"])
    func `A session is ended or renewed even if the response is an error`(target: String) async throws {
        try await withStores { store in
            let browser = Browser(try handler(store))
            _ = try await browser.get("/count")
            let old = browser.cookie
            _ = try await browser.get(target)
            let expected = target == "/promoted" ? "1 false" : "0 true"
            #expect(try await browser.get("/read") == expected)
            browser.cookie = old
            #expect(try await browser.get("/read") == "0 true")
        }
    }

    @Test func `A session that was ended by a request whose client has disconnected is invalid`() async throws {
        try await withStores { store in
            let clock = ManualClock()
            let browser = Browser(try handler(store, clock))
            _ = try await browser.get("/count")
            let ended = Gate()
            let routes = Routes()
            routes.group(try Sessions(store, secrets: [Self.secret], clock: clock)) { routes in
                routes.get("slow-logout", Session.Current()) { session -> String in
                    try session.end()
                    ended.open()
                    try await Gate().wait()
                    return "out"
                }
            }
            let router = try Router(routes)
            var headers: RequestHeaders = [:]
            headers[.cookie] = browser.cookie
            let request = Request(method: .get, target: "/slow-logout", headers: headers)
            let response = Task { await router.respond(to: request) }
            try await ended.wait()
            response.cancel()
            _ = await response.value
            #expect(try await browser.get("/read") == "0 true")
        }
    }

    @Test(arguments: [("/logout", "0 true"), ("/login", "100 false")])
    func `Ending or renewing a session invalidates all session cookies of the request`(
        target: String, expected: String
    ) async throws {
        try await withStores { store in
            let handler = try handler(store)
            let (one, other) = (Browser(handler), Browser(handler))
            _ = try await one.get("/count")
            _ = try await other.get("/count")
            let old = "\(one.cookie ?? ""); \(other.cookie ?? "")"
            one.cookie = old
            _ = try await one.get(target)
            #expect(try await one.get("/read") == expected)
            one.cookie = old
            #expect(try await one.get("/read") == "0 true")
        }
    }

    @Test func `Removing a value from a new session sets no cookie`() async throws {
        let browser = Browser(try handler(MemorySessionStore()))
        _ = try await browser.get("/forget")
        #expect(browser.lastField == nil)
    }

    @Test(arguments: [true, false])
    func `A session can be read but not changed in a WebSocket`(isNew: Bool) async throws {
        struct Live: Module {
            let secret: Secret<String>

            func configure(_ app: inout AppBuilder) throws {
                let sessions = try Sessions(MemorySessionStore(), secrets: [secret])
                app.routes { routes in
                    routes.group(sessions) { routes in
                        routes.get("start", Session.Current()) { session in
                            try session.set("name", "ada")
                            return "started"
                        }
                        routes.webSocket("live", Session.Current()) { socket, session in
                            let name: String = try session.get("name") ?? "nobody"
                            try await socket.send(name)
                            do {
                                try session.set("name", "grace")
                                try await socket.send("changed")
                            } catch let error as AppError {
                                try await socket.send(error.code.name)
                            }
                        }
                    }
                }
            }
        }
        try await App("live") { Live(secret: Self.secret) }.test { app in
            var headers: HTTPFields = [:]
            if !isNew {
                let field = try await app.client.get("/start").headers[.setCookie] ?? ""
                headers[.cookie] = String(field.prefix { $0 != ";" })
            }
            try await app.client.webSocket("/live", headers: headers) { socket in
                let messages = [try await socket.receive(), try await socket.receive()]
                #expect(messages == [isNew ? "nobody" : "ada", "FAILED_PRECONDITION"])
            }
        }
    }

    @Test func `Setting a value after ending the session starts a new one`() async throws {
        try await withStores { store in
            let browser = Browser(try handler(store))
            _ = try await browser.get("/count")
            let old = browser.cookie
            _ = try await browser.get("/farewell")
            #expect(try await browser.get("/read") == "7 false")
            browser.cookie = old
            #expect(try await browser.get("/read") == "0 true")
        }
    }

    @Test func `A session cannot be changed after the response header was sent`() async throws {
        let routes = Routes()
        let thrown = Gate()
        routes.group(try Sessions(MemorySessionStore(), secrets: [Self.secret])) { routes in
            routes.get("live", Session.Current()) { session in
                EventStream { events in
                    for change in [
                        { try session.set("a", 1) }, { try session.remove("a") }, { try session.renew() },
                        { try session.end() },
                    ] {
                        let error = #expect(throws: AppError.self) { try change() }
                        #expect(error?.code == .failedPrecondition)
                    }
                    thrown.open()
                }
            }
        }
        let router = try Router(routes)
        let response = await router.respond(to: Request(method: .get, target: "/live"))
        guard case .stream(_, let produce) = response.body else {
            Issue.record("The response is not a stream.")
            return
        }
        try await produce(DiscardingWriter())
        try await thrown.wait()
    }

    @Test func `All cookies with the name of the session cookie are tried, in any order`() async throws {
        let browser = Browser(try handler(MemorySessionStore()))
        _ = try await browser.get("/count")
        let good = try #require(browser.cookie)
        for cookies in [
            "session=garbage; \(good)", "\(good); session=garbage", "a=b; session=; \(good)", "session; \(good)",
        ] {
            browser.cookie = cookies
            #expect(try await browser.get("/read") == "1 false", "\(cookies)")
        }
    }

    @Test(
        arguments: [
            (nil, "no-store"), ("no-store", "no-store"), ("private, max-age=5", "private, max-age=5"),
            ("public, max-age=60, immutable", "private, max-age=60, immutable"), ("max-age=60", "private, max-age=60"),
            ("s-maxage=60, Public", "private"), ("private=\"set-cookie\"", "private"),
            ("NO-STORE", "NO-STORE"),
        ] as [(String?, String)])
    func `A response that sets the cookie is not stored by shared caches`(field: String?, expected: String) async throws
    {
        let routes = Routes()
        routes.group(try Sessions(MemorySessionStore(), secrets: [Self.secret])) { routes in
            routes.get("", Session.Current()) { session in
                try session.set("a", 1)
                var response = Response(status: .ok)
                response.headers[.cacheControl] = field
                return response
            }
        }
        let response = await (try Router(routes)).respond(to: Request(method: .get, target: "/"))
        #expect(response.headers[.setCookie] != nil)
        #expect(response.headers[.cacheControl] == expected)
    }

    @Test func `Forged, modified and differently signed cookies are ignored`() async throws {
        let store = MemorySessionStore()
        let browser = Browser(try handler(store))
        _ = try await browser.get("/count")
        let good = try #require(browser.cookie)
        let (token, signature) = (good.split(separator: ".")[0], good.split(separator: ".")[1])
        for bad in [
            "session=", "session=.", "session=x.y", "\(token)", "\(token).", "\(token).\(signature)x",
            "\(token).\(signature.dropLast())",
            "session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.\(signature)", "\(token)=.\(signature)",
            "\(good).\(signature)",
        ] {
            browser.cookie = bad
            #expect(try await browser.get("/read") == "0 true", "\(bad)")
        }
        let other = Secret(String(repeating: "other", count: 10))
        let elsewhere = Browser(try handler(store, secrets: [other]))
        elsewhere.cookie = good
        #expect(try await elsewhere.get("/read") == "0 true")
        let rotated = Browser(try handler(store, secrets: [other, Self.secret]))
        rotated.cookie = good
        #expect(try await rotated.get("/read") == "1 false")
        for secrets in [[], [Secret("short")]] {
            #expect(throws: AppError.self) { try Sessions(store, secrets: secrets) }
        }
    }

    @Test func `A cookie is serialised with its attributes, and one with invalid characters is rejected`() throws {
        var response = Response(status: .ok)
        try response.set(
            SetCookie("a", "b", maxAge: .seconds(60), domain: "example.org", isSecure: false, sameSite: .strict))
        try response.set(.removal(of: "c"))
        try response.set(.removal(of: "__Host-c"))
        try response.set(SetCookie("d", "e", sameSite: .none))
        #expect(
            response.headers[values: .setCookie] == [
                "a=b; Path=/; Domain=example.org; Max-Age=60; HttpOnly; SameSite=Strict",
                "c=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
                "__Host-c=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
                "d=e; Path=/; Secure; HttpOnly; SameSite=None",
            ])
        for (name, value, path) in [
            ("", "x", "/"), ("a b", "x", "/"), ("a", "x;y", "/"), ("a", "x y", "/"), ("a", "é", "/"),
            ("a", "\r\nX: y", "/"), ("a", "x", "/;Domain=evil"),
        ] {
            #expect(throws: AppError.self) { try response.set(SetCookie(name, value, path: path)) }
        }
    }
}

private struct DiscardingWriter: ResponseBodyWriter {
    func write(_ bytes: ByteBuffer) async throws {}
    func setTrailers(_ trailers: HTTPFields) {}
}
