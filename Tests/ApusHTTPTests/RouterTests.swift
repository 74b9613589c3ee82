import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization
import Testing

@Suite struct RouterTests {
    private func router(_ declare: (Routes) -> Void) throws -> Router {
        let routes = Routes()
        declare(routes)
        return try Router(routes)
    }

    private func text(_ router: Router, _ target: String, _ method: HTTPRequest.Method = .get) async throws -> String {
        let response = await router.respond(to: Request(method: method, target: target))
        if let error = response.error { throw error }
        guard let bytes = response.body.buffer else { return "" }
        return String(buffer: bytes)
    }

    @Test func `Constants take precedence over parameters and parameters over wildcards, with backtracking`()
        async throws
    {
        let router = try router { routes in
            routes.get("orders/open") { "open" }
            routes.get("orders/:id", Path("id")) { id in "order \(id)" }
            routes.get("orders/open/items/:n", Path("n")) { n in "item \(n)" }
            routes.get("orders/:id/items", Path("id")) { id in "items of \(id)" }
            routes.get("files/*/info") { "info" }
            routes.get("files/**") { "rest" }
        }
        #expect(try await text(router, "/orders/open") == "open")
        #expect(try await text(router, "/orders/7?x=1") == "order 7")
        #expect(try await text(router, "/orders/open/items") == "items of open")
        #expect(try await text(router, "/orders/open/items/3") == "item 3")
        #expect(try await text(router, "/files/a/info") == "info")
        #expect(try await text(router, "/files/a/b/c") == "rest")
        #expect(try await text(router, "/orders/7/") == "order 7")
    }

    @Test(arguments: ["/nope", "/orders/7/8", "/orders//", "//orders/7", "/files", "/ORDERS/7"])
    func `A path that matches no route is answered with 404`(path: String) async throws {
        let router = try router { routes in
            routes.get("orders/:id", Path("id")) { id in id }
            routes.get("files/**") { "rest" }
        }
        let error = await #expect(throws: AppError.self) { try await text(router, path) }
        #expect(error?.httpStatus == .notFound)
    }

    @Test func `A known path with another method is answered with 405 and the allowed methods`() async throws {
        let router = try router { routes in
            routes.get("orders/:id", Path("id")) { id in id }
            routes.delete("orders/:id", Path("id")) { _ in NoContent() }
        }
        let error = try #require(await #expect(throws: AppError.self) { try await text(router, "/orders/7", .post) })
        #expect(error.httpStatus == .methodNotAllowed)
        #expect(Response(problem: error).headers[.allow] == "DELETE, GET, HEAD, OPTIONS")
        let options = await router.respond(to: Request(method: .options, target: "/orders/7"))
        #expect(options.status == .noContent)
        #expect(options.headers[.allow] == "DELETE, GET, HEAD, OPTIONS")
        #expect(try await text(router, "/orders/7", .head) == "7")
        #expect(await router.respond(to: Request(method: .options, target: "*")).status == .noContent)
    }

    @Test func `A preflight is answered by the CORS middleware of the requested route`() async throws {
        let router = try router { routes in
            routes.get("orders") { "all" }
            routes.group(CORS(origins: .only(["https://app.example"]))) { routes in
                routes.post("orders") { "placed" }
                routes.get("prices") { "all" }
            }
        }
        func allowed(_ method: String, _ origin: String, _ path: String = "/orders") async throws -> String? {
            let headers: RequestHeaders = [.origin: origin, .accessControlRequestMethod: method]
            let response = await router.respond(to: Request(method: .options, target: path, headers: headers))
            #expect(response.status == .noContent)
            return response.headers[.accessControlAllowOrigin]
        }
        #expect(try await allowed("POST", "https://app.example") == "https://app.example")
        #expect(try await allowed("POST", "https://evil.example") == nil)
        #expect(try await allowed("GET", "https://app.example") == nil)
        #expect(try await allowed("DELETE", "https://app.example") == nil)
        #expect(try await allowed("HEAD", "https://app.example", "/prices") == "https://app.example")
    }

    @Test func `Constants are compared by bytes, not by canonical equivalence`() async throws {
        let router = try router { routes in
            routes.get("caf\u{E9}") { "composed" }
            routes.get("cafe\u{301}") { "decomposed" }
        }
        #expect(try await text(router, "/caf%C3%A9") == "composed")
        #expect(try await text(router, "/cafe%CC%81") == "decomposed")
    }

    @Test func `A route for HEAD beside one for GET takes precedence`() async throws {
        let router = try router { routes in
            routes.get("orders") { "all" }
            routes.on(.head)("orders") { NoContent() }
        }
        #expect(await router.respond(to: Request(method: .head, target: "/orders")).status == .noContent)
        #expect(try await text(router, "/orders") == "all")
    }

    @Test func `Routes that match the same paths are rejected with the locations of both`() throws {
        let error = #expect(throws: RouteError.self) {
            try router { routes in
                routes.get("users/:id", Path("id")) { id in id }
                routes.get("users/:name", Path("name")) { name in name }
            }
        }
        let text = "\(try #require(error))"
        #expect(text.contains("/users/:id") && text.contains("/users/:name"))
        #expect(text.components(of: "RouterTests.swift:") == 2, "\(text)")
    }

    @Test(arguments: ["a/**/b", "a/:/b", "a/:x/:x"]) func `An invalid pattern is rejected`(path: String) {
        #expect(throws: RouteError.self) { try router { $0.get(path) { "" } } }
    }

    @Test func `Segments are decoded individually, so that an encoded slash does not split them`() async throws {
        let router = try router { $0.get("files/:name", Path("name")) { name in name } }
        #expect(try await text(router, "/files/a%2Fb%20%C3%A9") == "a/b é")
    }

    @Test(arguments: ["/files/%", "/files/%4", "/files/%zz", "/files/%ff", "/files/%C3", "files", "", "*"])
    func `A malformed path is answered with 400`(path: String) async throws {
        let router = try router { $0.get("files/:name", Path("name")) { name in name } }
        let error = await #expect(throws: AppError.self) { try await text(router, path) }
        #expect(error?.httpStatus == .badRequest)
    }

    @Test func `Groups can be nested: prefixes are joined, and the outer middleware runs first`() async throws {
        let router = try router { routes in
            routes.group("v1", Tag("a")) { routes in
                routes.group("deep", Tag("b"), Tag("c")) { $0.get("x") { "x" } }
            }
        }
        #expect(try await text(router, "/v1/deep/x") == "a(b(c(x)))")
        #expect(router.listing.map(\.template) == ["/v1/deep/x"])
    }

    @Test func `The middleware and inputs of groups run in the order of their declaration`() async throws {
        struct Word: RequestInput {
            let word: String
            func extract(from request: Request) throws -> String {
                guard request.headers[.authorization] == word else {
                    throw AppError(.unauthenticated, "Authentication required.")
                }
                return word
            }
        }
        let calls = Calls()
        let router = try router { routes in
            routes.group("v1", Recording("outer", calls), Recording("second", calls)) { routes in
                routes.group("in", Word(word: "w"), Recording("after", calls)) { routes in
                    routes.get(":n", Path("n")) { word, n in "\(word)\(n)" }
                    routes.get("") { word in word }
                }
            }
        }
        let anonymous = await router.respond(to: Request(method: .get, target: "/v1/in/7"))
        #expect(anonymous.status == .unauthorized)
        #expect(calls.take() == ["outer", "second"])
        let known = await router.respond(
            to: Request(method: .get, target: "/v1/in/7", headers: [.authorization: "w"]))
        #expect(known.body.buffer.map { String(buffer: $0) } == "w7")
        #expect(calls.take() == ["outer", "second", "after"])
    }

    @Test func `Groups with inputs can be nested, and an inner input can use the value of an outer one`()
        async throws
    {
        struct Caller: RequestInput {
            let calls: Calls
            func extract(from request: Request) throws -> Int {
                calls.record("caller")
                return 7
            }
        }
        struct Owned: RequestInput {
            func extract(from request: Request) throws -> String {
                "\(try Path("id").extract(from: request)) of \(try request.input(Int.self))"
            }
            func describe(_ operation: inout OpenAPI.Operation) { Path("id").describe(&operation) }
        }
        let calls = Calls()
        let router = try router { routes in
            routes.group("things", Caller(calls: calls)) { routes in
                routes.group(":id", Owned(), Recording("inner", calls)) { routes in
                    routes.get("") { caller, thing in "\(caller): \(thing)" }
                    routes.get("parts/:part", Path("part"), Query("q", default: "-")) { caller, thing, part, q in
                        "\(caller): \(part) of \(thing) \(q)"
                    }
                    routes.group("deep", Recording("deep", calls)) { $0.get("") { _, thing in thing } }
                }
                routes.group("plain") { $0.get("x") { caller in "\(caller)" } }
            }
        }
        #expect(try await text(router, "/things/a") == "7: a of 7")
        #expect(calls.take() == ["caller", "inner"])
        #expect(try await text(router, "/things/a/parts/b?q=c") == "7: b of a of 7 c")
        #expect(try await text(router, "/things/a/deep") == "a of 7")
        #expect(try await text(router, "/things/plain/x") == "7")
        let outside = try self.router { $0.get(":id", Owned()) { $0 } }
        #expect(await outside.respond(to: Request(method: .get, target: "/a")).status == .internalServerError)
    }

    @Test func `Groups need no path, and the middleware of the outer ones runs first`() async throws {
        struct Number: RequestInput {
            func extract(from request: Request) -> Int { 1 }
        }
        struct Word: RequestInput {
            func extract(from request: Request) -> String { "w" }
        }
        let calls = Calls()
        let router = try router { routes in
            routes.group(Number()) { routes in
                routes.group(Recording("first", calls)) { routes in
                    routes.patch("x") { number in "\(number)" }
                    routes.group(Word(), Recording("second", calls)) { routes in
                        routes.group(Recording("third", calls)) { routes in
                            routes.put("x") { number, word in "\(number)\(word)" }
                        }
                    }
                }
            }
        }
        let patched = await router.respond(to: Request(method: .patch, target: "/x"))
        #expect(patched.body.buffer.map { String(buffer: $0) } == "1")
        #expect(calls.take() == ["first"])
        let replaced = await router.respond(to: Request(method: .put, target: "/x"))
        #expect(replaced.body.buffer.map { String(buffer: $0) } == "1w")
        #expect(calls.take() == ["first", "second", "third"])
    }

    @Test func `An input of a path parameter that does not exist is reported together with all other problems`()
        throws
    {
        let routes = Routes()
        routes.get("orders/:order", Path("id")) { $0 }
        routes.get("orders/:order/a", Path("order")) { $0 }
        routes.get("a/**/b") { "" }
        routes.get("same") { "" }
        routes.get("same") { "" }
        routes.group("x", Path("gone")) { $0.get("") { $0 } }
        var problems: [RouteError] = []
        _ = Router(routes, &problems)
        #expect(problems.count == 4)
        #expect(problems.first?.description.contains("Path(\"id\")") == true)
        #expect(problems.first?.description.contains("/orders/:order") == true)
        #expect(throws: RouteError.self) { try Router(routes) }
    }

    @Test func `The template of the route is stored in the context for the access log`() async throws {
        let router = try router { $0.get("orders/:id", Path("id")) { id in id } }
        let request = Request(method: .get, target: "/orders/7")
        _ = await router.respond(to: request)
        #expect(request.context.route == "/orders/:id")
    }

    @Test func `A rule whose pattern is not a regular expression is reported once, with a route that uses it`() throws {
        struct Car: Decodable, Sendable, Validatable {
            static let rules: [Rule<Car>] = [Rule("plate", \.plate, .pattern("[A-Z", message: "must be a plate"))]
            let plate: String
        }
        let routes = Routes()
        routes.post("cars", Body(Car.self), file: "Cars.swift", line: 7) { car in car.plate }
        routes.put("cars/:id", Path("id"), Body(Car.self), file: "Cars.swift", line: 8) { id, car in car.plate }
        var problems: [RouteError] = []
        _ = Router(routes, &problems)
        #expect(problems.count == 1)
        let text = try #require(problems.first).description
        #expect(
            text.hasPrefix("The rule \"plate\" of Car has the pattern \"[A-Z\", which is not a regular expression: "))
        #expect(text.hasSuffix(" The rule validates a body at Cars.swift:7."))
    }
}

private final class Calls: Sendable {
    private let names = Mutex<[String]>([])
    func record(_ name: String) { names.withLock { $0.append(name) } }
    func take() -> [String] {
        names.withLock { names in
            defer { names = [] }
            return names
        }
    }
}

private struct Recording: Middleware {
    let name: String
    let calls: Calls

    init(_ name: String, _ calls: Calls) {
        self.name = name
        self.calls = calls
    }

    func handle(_ request: Request, next: Next) async -> Response {
        calls.record(name)
        return await next(request)
    }
}

private struct Tag: Middleware {
    let name: String
    init(_ name: String) { self.name = name }

    func handle(_ request: Request, next: Next) async throws -> Response {
        let response = await next(request)
        guard let bytes = response.body.buffer else { return response }
        return .text("\(name)(\(String(buffer: bytes)))")
    }
}

extension String {
    fileprivate func components(of part: String) -> Int {
        split(separator: part, omittingEmptySubsequences: false).count - 1
    }
}
