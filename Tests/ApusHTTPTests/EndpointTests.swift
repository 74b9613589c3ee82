import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Testing

private struct Message: Codable, Sendable, ResponseConvertible, Validatable {
    var text: String
    var count: Int
    var tags: [String]?

    static let rules: [Rule<Message>] = [Rule("text", \.text, .length(1...10)), Rule("count", \.count, .range(0...9))]
}

private enum Theme: String, LosslessStringConvertible {
    case dark, light
}

/// A value captured by handlers, which must receive their captures regardless of the number of their inputs.
private final class Service: Sendable {
    let name = "service"

    func describe(_ values: Any...) async -> String {
        await Task.yield()
        return "\(name): " + values.map { "\($0)" }.joined(separator: ", ")
    }
}

@Suite struct EndpointTests {
    private let service = Service()

    private func post(_ body: String, type: String? = "application/json") async throws -> Response {
        var headers = HTTPFields()
        headers[.contentType] = type
        return try await respond(.post, "/m", headers: RequestHeaders(headers), body: body) { routes in
            routes.post("m", Body(Message.self)) { message in Created(message, at: "/m/1") }
        }
    }

    @Test func `A handler receives zero to three inputs and its captured values`() async throws {
        func fetch(_ target: String) async throws -> String {
            try await text(
                respond(.get, target) { routes in
                    routes.get("none") { await service.describe() }
                    routes.get("one/:a", Path("a")) { a in await service.describe(a) }
                    routes.get("two/:a", Path("a"), Query("b", as: Int.self, default: 5)) { a, b in
                        await service.describe(a, b)
                    }
                    routes.get("three/:a/:b", Path("a", as: Int.self), Path("b", as: Bool.self), Query("c")) {
                        a, b, c in
                        await service.describe(a, b, c)
                    }
                    routes.group("led", Query("q")) { routes in
                        routes.get("none") { q in await service.describe(q) }
                        routes.get("two/:a", Path("a"), Query("b")) { q, a, b in await service.describe(q, a, b) }
                    }
                })
        }
        #expect(try await fetch("/none") == "service: ")
        #expect(try await fetch("/one/x") == "service: x")
        #expect(try await fetch("/two/x") == "service: x, 5")
        #expect(try await fetch("/two/x?b=6") == "service: x, 6")
        #expect(try await fetch("/three/1/true?c=%C3%A9+z") == "service: 1, true, é z")
        #expect(try await fetch("/led/none?q=1") == "service: 1")
        #expect(try await fetch("/led/two/x?q=1&b=2") == "service: 1, x, 2")
    }

    @Test func `Outputs determine the status, lists are encoded as arrays, and the request is available as an input`()
        async throws
    {
        func fetch(_ target: String) async throws -> Response {
            try await respond(.get, target) { routes in
                routes.get("later") { Accepted(Message(text: "hi", count: 1)) }
                routes.get("nothing") { NoContent() }
                routes.get("list") { [Message(text: "hi", count: 1)] }
                routes.get("whole", WholeRequest(), Header(.accept)) { request, accept in
                    "\(request.target) \(accept ?? "none")"
                }
            }
        }
        #expect(try await fetch("/later").status == .accepted)
        #expect(try await fetch("/nothing").status == .noContent)
        #expect(text(try await fetch("/list")) == #"[{"text":"hi","count":1}]"#)
        #expect(text(try await fetch("/whole")) == "/whole none")
    }

    @Test func `A body is decoded, validated and answered with 201 and its location`() async throws {
        let response = try await post(#"{"text":"hi","count":3}"#)
        #expect(response.status == .created)
        #expect(response.headers[.location] == "/m/1")
        #expect(text(response) == #"{"text":"hi","count":3}"#)
    }

    @Test(arguments: ["", "{", "[1,", #"{"text": hi}"#, "\u{FEFF}", "nul", #"{"text":"a"}}"#, "\u{0}"])
    func `Malformed JSON is answered with 400`(body: String) async throws {
        let response = try await post(body)
        #expect(response.status == .badRequest)
        #expect(try problem(response).detail.hasPrefix("The body is not valid JSON."))
    }

    @Test func `JSON nested ten thousand levels deep is rejected without a stack overflow`() async throws {
        let response = try await post(String(repeating: "[", count: 10_000))
        #expect(response.status.kind == .clientError)
    }

    @Test func `A missing field and a wrong type are answered with 422 and the pointer of the field`() async throws {
        let missing = try problem(try await post(#"{"text":"hi"}"#))
        #expect(missing.status == 422)
        #expect(missing.errors == [ValidationFailure(pointer: "/count", code: "required", message: "is required")])
        let wrong = try problem(try await post(#"{"text":"hi","count":"3"}"#))
        #expect(wrong.errors == [ValidationFailure(pointer: "/count", code: "type", message: "must be an integer")])
        let inside = try problem(try await post(#"{"text":"hi","count":3,"tags":["a",5]}"#))
        #expect(inside.errors?.first?.pointer == "/tags/1")
        let array = try problem(try await post("[]"))
        #expect(array.errors == [ValidationFailure(pointer: "", code: "type", message: "must be an object")])
    }

    @Test func `All violated rules are reported together`() async throws {
        let broken = try problem(try await post(#"{"text":"","count":10}"#))
        #expect(broken.status == 422)
        #expect(broken.reason == "VALIDATION_FAILED")
        #expect(broken.errors?.map(\.pointer) == ["/text", "/count"])
    }

    @Test(arguments: [nil, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
    func `An unsupported media type is answered with 415`(type: String?) async throws {
        #expect(try await post("{}", type: type).status == .unsupportedMediaType)
    }

    @Test(arguments: [
        "application/json", "application/json; charset=utf-8", "APPLICATION/JSON ;x=y", "application/ld+json",
    ])
    func `Parameters, upper case and +json suffixes are accepted in the media type of JSON`(type: String) async throws {
        #expect(try await post(#"{"text":"hi","count":3}"#, type: type).status == .created)
    }

    @Test func `A body that exceeds the limit of its route is answered with 413`() async throws {
        for (size, status) in [(10, HTTPResponse.Status.ok), (11, .contentTooLarge)] {
            let response = try await respond(.post, "/raw", body: String(repeating: "x", count: size)) { routes in
                routes.post("raw", RawBody()) { body in "\(body.readableBytes)" }.bodyLimit(10)
            }
            #expect(response.status == status)
        }
    }

    @Test(arguments: [
        "/n?x=a", "/n?x=", "/n", "/n?x=%", "/n?x=%FF", "/n?x=99999999999999999999", "/f?x=nan", "/f?x=-inf",
        "/f?x=1e400",
    ])
    func `A missing or malformed query parameter is answered with 400`(target: String) async throws {
        let response = try await respond(.get, target) { routes in
            routes.get("n", Query("x", as: Int.self)) { x in "\(x)" }
            routes.get("f", Query("x", as: Double.self)) { x in "\(x)" }
        }
        #expect(response.status == .badRequest)
        #expect(try problem(response).detail.isEmpty == false)
    }

    @Test func `Parameters can be optional, have defaults or be lists`() async throws {
        func fetch(_ target: String, _ headers: RequestHeaders = [:]) async throws -> Response {
            try await respond(.get, target, headers: headers) { routes in
                routes.get(
                    "q", Query("n", as: Int?.self), Query("tag", as: [String].self),
                    Header(.age, as: Int.self, default: 3),
                    Cookie("theme", as: Theme?.self)
                ) { "\($0.map(String.init) ?? "none") \($1) \($2) \($3?.rawValue ?? "none")" }
            }
        }
        #expect(text(try await fetch("/q")) == "none [] 3 none")
        let cookies: RequestHeaders = [.age: "4", .cookie: "a=b; theme=\"dark\"; theme=light"]
        #expect(text(try await fetch("/q?n=1&tag=a&tag=b", cookies)) == #"1 ["a", "b"] 4 dark"#)
        #expect(try await fetch("/q?n=x").status == .badRequest)
        #expect(try await fetch("/q", [.age: "x"]).status == .badRequest)
        #expect(try await fetch("/q", [.cookie: "theme=pink"]).status == .badRequest)
    }

    @Test(arguments: [
        "theme", "theme=", "=dark", ";;;", "theme dark", "Theme=dark", "xtheme=dark", "\u{0}", "theme=\"dark",
    ])
    func `A missing, malformed or invalid cookie is answered with 400`(field: String) async throws {
        let response = try await respond(.get, "/c", headers: [.cookie: field]) { routes in
            routes.get("c", Cookie("theme", as: Theme.self)) { $0.rawValue }
        }
        #expect(response.status == .badRequest)
    }

    @Test func `A body can be read as a stream`() async throws {
        let response = try await respond(.post, "/s", body: "abc") { routes in
            routes.post("s", BodyStream()) { body in
                var count = 0
                for try await piece in body { count += piece.readableBytes }
                return "\(count)"
            }
        }
        #expect(text(response) == "3")
    }
}
