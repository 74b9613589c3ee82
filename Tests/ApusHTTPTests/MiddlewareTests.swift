import ApusCore
import ApusHTTP
import HTTPTypes
import Logging
import NIOCore
import Synchronization
import Testing

@Suite struct MiddlewareTests {
    private func request(_ headers: RequestHeaders = [:], _ method: HTTPRequest.Method = .get) -> Request {
        Request(method: method, target: "/x", headers: headers)
    }

    private let id = HTTPField.Name("X-Request-Id")!

    @Test func `A valid request id is retained`() async throws {
        let response = await respond(to: request([id: "abc-1_2.3"]), through: RequestID()) { .text($0.context.id) }
        #expect(response.headers[id] == "abc-1_2.3")
    }

    @Test(arguments: ["", "a b", "a\"b", "é", String(repeating: "x", count: 65)])
    func `An invalid request id is replaced`(bad: String) async throws {
        let response = await respond(to: request([id: bad]), through: RequestID()) { .text($0.context.id) }
        #expect(response.headers[id] != bad)
        #expect(response.headers[id]?.isEmpty == false)
    }

    @Test func `An unknown error becomes a problem document without internal details`() async throws {
        struct Leak: Error { let secret = "hunter2" }
        let response = await respond(to: request(), through: ErrorRendering()) { _ in throw Leak() }
        guard let bytes = response.body.buffer else { Issue.record("The response has no body."); return }
        #expect(response.status == .internalServerError)
        #expect(!String(buffer: bytes).contains("hunter2"))
    }

    @Test(arguments: StatusCode.allCases)
    func `Every code has an HTTP status, a problem document and a WebSocket close code`(
        code: StatusCode
    ) {
        let response = Response(problem: AppError(code, "Something failed."))
        #expect(response.status.code >= 400)
        #expect(response.headers[.contentType] == "application/problem+json")
        #expect([1000, 1007, 1008, 1011, 1013].contains(code.webSocketCloseCode))
    }

    @Test func `The canonical codes map to the specified HTTP statuses`() {
        let expected: [StatusCode: Int] = [
            .ok: 200, .cancelled: 499, .unknown: 500, .invalidArgument: 400, .deadlineExceeded: 504, .notFound: 404,
            .alreadyExists: 409, .permissionDenied: 403, .resourceExhausted: 429, .failedPrecondition: 409,
            .aborted: 409,
            .outOfRange: 400, .unimplemented: 501, .internal: 500, .unavailable: 503, .dataLoss: 500,
            .unauthenticated: 401,
        ]
        for code in StatusCode.allCases { #expect(code.httpStatus.code == expected[code]) }
    }

    @Test func `Errors set Retry-After and WWW-Authenticate`() {
        let busy = Response(problem: AppError(.unavailable, "Busy.", retryAfter: .milliseconds(1200)))
        #expect(busy.headers[.retryAfter] == "2")
        #expect(
            Response(problem: AppError(.unauthenticated, "Authentication required.")).headers[.wwwAuthenticate]
                == "Bearer")
    }

    @Test func `A handler that exceeds the timeout is answered with 504`() async throws {
        let response = await respond(to: request(), through: ErrorRendering(), Timeout(.milliseconds(1))) { _ in
            try await Task.sleep(for: .seconds(3600))
            return .text("late")
        }
        #expect(response.status == .gatewayTimeout)
    }

    @Test func `Security fields are added without replacing those of the handler`() async throws {
        let response = await respond(to: request(), through: SecurityHeaders()) { _ in
            Response(status: .ok, headers: [.contentSecurityPolicy: "default-src 'self'"])
        }
        #expect(response.headers[.contentSecurityPolicy] == "default-src 'self'")
        #expect(response.headers[.xContentTypeOptions] == "nosniff")
    }

    @Test func `A preflight of an allowed origin is approved, and one of another origin is not`() async throws {
        let cors = CORS(origins: .only(["https://app.example"]))
        func preflight(_ origin: String) async throws -> Response {
            await respond(to: request([.origin: origin, .accessControlRequestMethod: "PUT"], .options), through: cors) {
                _ in
                Issue.record("The preflight reached the handler.")
                return Response(status: .ok)
            }
        }
        #expect(try await preflight("https://app.example").headers[.accessControlAllowOrigin] == "https://app.example")
        #expect(try await preflight("https://evil.example").headers[.accessControlAllowOrigin] == nil)
        let plain = await respond(to: request([.origin: "https://app.example"]), through: cors) { _ in
            Response(status: .ok)
        }
        let exposed = plain.headers[.accessControlExposeHeaders]?.split(separator: ", ").map(String.init) ?? []
        for name in [
            "X-Request-Id", "Location", "Link", "ETag", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining",
            "RateLimit-Reset", "Grpc-Status", "Grpc-Message",
        ] {
            #expect(exposed.contains(name), "\(name)")
        }
        #expect(plain.headers[.vary] == "Origin")
        for headers: RequestHeaders in [[:], [.origin: "https://evil.example"]] {
            let failed = await respond(to: request(headers), through: cors) { _ in
                throw AppError(.notFound, "Not found.")
            }
            #expect(failed.status == .notFound)
            #expect(failed.headers[.vary] == "Origin")
        }
        #expect(await respond(to: request(), through: CORS(origins: .all)) { _ in .text("x") }.headers[.vary] == nil)
    }

    @Test func `The fields that pages may read can be chosen`() async {
        let cors = CORS(origins: .all, exposedHeaders: CORS.defaultExposedHeaders + ["X-Total"])
        let response = await respond(to: request([.origin: "https://app.example"]), through: cors) { _ in .text("x") }
        let exposed = response.headers[.accessControlExposeHeaders]
        #expect(exposed?.hasPrefix("X-Request-Id, Location, ") == true)
        #expect(exposed?.hasSuffix(", X-Total") == true)
    }

    @Test(
        arguments: [
            ("POST", nil, nil, true), ("POST", "same-origin", nil, true), ("POST", "none", nil, true),
            ("POST", "same-site", nil, false), ("POST", "cross-site", nil, false), ("POST", "nonsense", nil, false),
            ("POST", "cross-site", "https://app.example", true), ("POST", nil, "https://api.example", true),
            ("POST", nil, "http://API.example", true), ("POST", nil, "https://api.example:8443", false),
            ("POST", nil, "http://api.example:80", true), ("POST", nil, "https://api.example:443", true),
            ("POST", nil, "http://api.example:443", false),
            ("POST", nil, "https://evil.example", false), ("POST", nil, "null", false), ("POST", nil, "", false),
            ("POST", nil, "https://evil.example/api.example", false), ("DELETE", "cross-site", nil, false),
            ("GET", "cross-site", "https://evil.example", true), ("HEAD", "cross-site", nil, true),
        ] as [(String, String?, String?, Bool)])
    func `An unsafe request from a page of another origin is rejected`(
        method: String, site: String?, origin: String?, isAllowed: Bool
    ) async throws {
        var headers: RequestHeaders = [:]
        headers[HTTPField.Name("Sec-Fetch-Site")!] = site
        headers[.origin] = origin
        let protection = CrossOriginProtection(trustedOrigins: ["https://app.example"])
        let request = Request(
            method: HTTPRequest.Method(method)!, target: "/", authority: "api.example", headers: headers)
        let response = await respond(to: request, through: ErrorRendering(), protection) { _ in .text("done") }
        #expect(response.status == (isAllowed ? .ok : .forbidden))
    }

    @Test func `A page of another origin cannot open a WebSocket`() async throws {
        func open(_ origin: String?) async throws -> HTTPResponse.Status {
            var headers: RequestHeaders = [.upgrade: "websocket"]
            headers[.origin] = origin
            let request = Request(method: .get, target: "/", authority: "api.example", headers: headers)
            return await respond(to: request, through: ErrorRendering(), CrossOriginProtection()) { _ in .text("open") }
                .status
        }
        #expect(try await open("https://evil.example") == .forbidden)
        #expect(try await open("https://api.example") == .ok)
        #expect(try await open(nil) == .ok)
    }

    @Test func `A response has an entity tag of its body, and a client with a matching tag receives 304`() async throws
    {
        func send(_ method: HTTPRequest.Method = .get, _ body: String = "hello", _ tag: String? = nil) async throws
            -> Response
        {
            var headers: RequestHeaders = [:]
            headers[.ifNoneMatch] = tag
            return await respond(to: Request(method: method, target: "/", headers: headers), through: EntityTags()) {
                _ in
                .text(body)
            }
        }
        let first = try await send()
        let tag = try #require(first.headers[.eTag])
        #expect(tag.hasPrefix("W/\""))
        let second = try await send(.get, "hello", tag)
        #expect(second.status == .notModified && second.headers[.eTag] == tag && text(second).isEmpty)
        #expect(try await send(.get, "other", tag).status == .ok)
        #expect(try await send(.post).headers[.eTag] == nil)
        #expect(try await send(.get, "").headers[.eTag] == nil)
        #expect(try await send(.get, String(repeating: "x", count: 1 << 20 + 1)).headers[.eTag] == nil)
    }

    @Test(arguments: [
        ("no-store", false), ("max-age=0, No-Store", false), ("private", true), ("x=\"no-store\"", true),
    ]) func `A response that must not be stored gets no entity tag`(cacheControl: String, isTagged: Bool) async {
        let response = await respond(to: Request(method: .get, target: "/"), through: EntityTags()) { _ in
            var response = Response.text("hello")
            response.headers[.cacheControl] = cacheControl
            return response
        }
        #expect((response.headers[.eTag] != nil) == isTagged)
    }

    @Test func `Strict-Transport-Security is set over TLS only`() async throws {
        func send(isSecure: Bool) async throws -> String? {
            let request = Request(method: .get, target: "/", isSecure: isSecure)
            return await respond(to: request, through: SecurityHeaders()) { _ in .text("x") }.headers[
                .strictTransportSecurity]
        }
        #expect(try await send(isSecure: true) == "max-age=31536000")
        #expect(try await send(isSecure: false) == nil)
    }

    @Test func `Method override fields and parameters are ignored`() async throws {
        let headers: RequestHeaders = [HTTPField.Name("X-HTTP-Method-Override")!: "DELETE"]
        let response = try await respond(.post, "/x?_method=DELETE", headers: headers) { routes in
            routes.post("x") { "posted" }
            routes.delete("x") { "deleted" }
        }
        #expect(text(response) == "posted")
    }

    @Test func `A group can have a timeout`() async throws {
        let response = try await respond(.get, "/slow") { routes in
            routes.group(.timeout(.milliseconds(1))) { routes in
                routes.get("slow") { () -> String in
                    try await Task.sleep(for: .seconds(86_400))
                    return "late"
                }
            }
        }
        #expect(response.status == .gatewayTimeout)
    }

    @Test func `A route can have its own timeout`() async throws {
        let response = try await respond(.get, "/slow") { routes in
            routes.get("slow") { () -> String in
                try await Task.sleep(for: .seconds(86_400))
                return "late"
            }.timeout(.milliseconds(1))
        }
        #expect(response.status == .gatewayTimeout)
    }

    @Test(
        arguments: [
            (nil, "application/problem+json"), ("*/*", "application/problem+json"),
            ("application/json", "application/problem+json"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
            ("text/plain", "text/plain; charset=utf-8"), ("text/*", "text/html; charset=utf-8"),
            ("text/html;q=0.5, application/json", "application/problem+json"),
            ("image/png", "application/problem+json"),
            ("", "application/problem+json"), (";;,,q=", "application/problem+json"),
            (String(repeating: "a/b,", count: 50_000) + "text/html", "application/problem+json"),
        ] as [(String?, String)])
    func `An error is rendered in the format that the client prefers`(accept: String?, type: String) async throws {
        var headers: RequestHeaders = [:]
        headers[.accept] = accept
        let response = await respond(to: request(headers), through: ErrorRendering()) { _ in
            throw AppError(.notFound, "No <b>such</b> order.")
        }
        #expect(response.status == .notFound)
        #expect(response.headers[.contentType] == type)
        if type.hasPrefix("text/html") { #expect(text(response).contains("<p>No &lt;b&gt;such&lt;/b&gt; order.</p>")) }
        if type.hasPrefix("text/plain") { #expect(text(response) == "404 Not Found\nNo <b>such</b> order.\n") }
    }

    @Test func `A problem document has the path as its instance and, if configured, a type URI`() async throws {
        func type(_ rendering: ErrorRendering, _ reason: AppError.Reason?) async throws -> ProblemDetails {
            try problem(
                await respond(to: Request(method: .get, target: "/a/b?token=secret"), through: rendering) { _ in
                    throw AppError(.aborted, "Taken.", reason: reason)
                })
        }
        #expect(try await type(ErrorRendering(), "ORDER_TAKEN").type == "about:blank")
        let rendering = ErrorRendering(typePrefix: "https://example.org/problems/")
        #expect(try await type(rendering, "ORDER_TAKEN").type == "https://example.org/problems/order-taken")
        #expect(try await type(rendering, nil).type == "about:blank")
        #expect(try await type(rendering, nil).instance == "/a/b")
    }

    @Test func `Custom middleware can modify error responses like any others`() async throws {
        struct Stamp: Middleware {
            func handle(_ request: Request, next: Next) async -> Response {
                var response = await next(request)
                response.headers[.server] = response.error.map { "failed with \($0.code.name)" } ?? "fine"
                return response
            }
        }
        struct Failing: Middleware {
            func handle(_ request: Request, next: Next) async throws -> Response {
                throw AppError(.unavailable, "Not now.", retryAfter: .seconds(3))
            }
        }
        let thrown = await respond(to: request(), through: ErrorRendering(), Stamp()) { _ in
            throw AppError(.notFound, "No order.")
        }
        #expect(thrown.status == .notFound)
        #expect(thrown.headers[.server] == "failed with NOT_FOUND")
        #expect(try problem(thrown).detail == "No order.")
        let refused = await respond(to: request(), through: ErrorRendering(), Stamp(), Failing()) { _ in
            .text("never")
        }
        #expect(refused.headers[.server] == "failed with UNAVAILABLE")
        #expect(refused.headers[.retryAfter] == "3")
        #expect(await respond(to: request(), through: Stamp()) { _ in .text("x") }.headers[.server] == "fine")
    }

    @Test func `The problem document has the status that middleware has set`() async throws {
        struct Hiding: Middleware {
            func handle(_ request: Request, next: Next) async -> Response {
                var response = await next(request)
                if response.status == .forbidden { response.status = .notFound }
                return response
            }
        }
        let response = await respond(to: request(), through: ErrorRendering(), Hiding()) { _ in
            throw AppError(.permissionDenied, "Not yours.")
        }
        #expect(response.status == .notFound)
        #expect(try problem(response).status == 404)
    }
}
