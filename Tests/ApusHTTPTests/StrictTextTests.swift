import ApusCore
import ApusJSON
import FoundationEssentials
import HTTPTypes
import NIOCore
import Testing

@testable import ApusHTTP

/// Tests that text is parsed completely and strictly, and that it is split by bytes.
@Suite struct StrictTextTests {
    private struct Item: Codable, Sendable, ResponseConvertible {
        var at: Date?
        var price: Decimal?
    }

    private func post(_ body: String, _ type: String) async throws -> Response {
        try await respond(.post, "/", headers: [.contentType: type], body: body) {
            $0.post("", Body(Item.self, as: .json, .form)) { $0 }
        }
    }

    @Test(arguments: ["2026-11-27T03:05:01Zjunk", "2026-02-30T00:00:00Z", "2026-11-27T03:05:01+0000", "2026-11-27"])
    func `A malformed date is rejected in bodies, forms and parameters`(text: String) async throws {
        #expect(try await post("{\"at\":\"\(text)\"}", "application/json").status == .unprocessableContent)
        let encoded = PercentEncoding.encode(text)
        #expect(try await post("at=\(encoded)", "application/x-www-form-urlencoded").status == .unprocessableContent)
        let query = try await respond(.get, "/?at=\(encoded)") { routes in
            routes.get("", Query("at", as: Date.self)) { _ in "" }
        }
        #expect(query.status == .badRequest)
    }

    @Test func `Dates are parsed in bodies, forms, and path, query, header and cookie parameters`() async throws {
        let json = try await post(#"{"at":"2026-11-27t03:05:01.5z"}"#, "application/json")
        #expect(text(json) == #"{"at":"2026-11-27T03:05:01.500Z"}"#)
        let form = try await post("at=2026-11-27T04:05:01%2B01:00", "application/x-www-form-urlencoded")
        #expect(text(form) == #"{"at":"2026-11-27T03:05:01.000Z"}"#)
        let field = HTTPField.Name("X-At")!
        let response = try await respond(
            .get, "/1970-01-01T00:00:01Z?at=1970-01-01T00:00:02Z&all=1970-01-01T00:00:03Z",
            headers: [field: "1970-01-01T00:00:04Z", .cookie: "at=1970-01-01T00:00:05Z"]
        ) { routes in
            routes.get(
                ":at", Path("at", as: Date.self), Query("at", as: Date.self), Query("all", as: [Date].self),
                Header(field, as: Date?.self), Cookie("at", as: Date.self), Query("none", as: Date?.self)
            ) { path, query, all, header, cookie, none in
                ([path, query] + all + [header ?? path, cookie, none ?? Date(timeIntervalSince1970: 6)])
                    .map { String(Int($0.timeIntervalSince1970)) }.joined()
            }
        }
        #expect(text(response) == "123456")
    }

    @Test func `A date in a header field can be required, and one in a cookie optional`() async throws {
        let field = HTTPField.Name("X-At")!
        func fetch(_ headers: RequestHeaders) async throws -> Response {
            try await respond(.get, "/", headers: headers) { routes in
                routes.get("", Header(field, as: Date.self), Cookie("at", as: Date?.self)) { header, cookie in
                    [header, cookie].compactMap { $0 }.map { String(Int($0.timeIntervalSince1970)) }.joined()
                }
            }
        }
        let at = "1970-01-01T00:00:01Z"
        #expect(text(try await fetch([field: at])) == "1")
        #expect(text(try await fetch([field: at, .cookie: "at=1970-01-01T00:00:02Z"])) == "12")
        #expect(try await fetch([:]).status == .badRequest)
        #expect(try await fetch([field: at, .cookie: "at=noon"]).status == .badRequest)
    }

    @Test(arguments: [
        ("12", true), ("-1.50", true), ("1e3", true), ("12abc", false), ("1,5", false), ("", true), (" 1", false),
        ("1.", false), (".5", true), ("0x10", false), ("1e", false), ("nan", false), ("1 2", false),
    ])
    func `A decimal in a form must be valid up to its last character`(text: String, isDecimal: Bool) async throws {
        let response = try await post("price=\(PercentEncoding.encode(text))", "application/x-www-form-urlencoded")
        #expect(response.status == (isDecimal ? .ok : .unprocessableContent), "\(text)")
    }

    @Test func `Keys in NFC and in NFD are different keys`() throws {
        struct Both: Decodable {
            let composed: Int
            let decomposed: Int

            enum CodingKeys: String, CodingKey {
                case composed = "\u{E9}"
                case decomposed = "other"
            }
        }
        let body = "{\"\u{E9}\":1,\"e\u{301}\":2,\"other\":3}"
        #expect(try JSONCoding.decode(Both.self, from: body.utf8).composed == 1)
        let value = try JSONCoding.decode(JSON.Value.self, from: body.utf8)
        #expect(value["\u{E9}"] == .integer(1))
        #expect(value["e\u{301}"] == .integer(2))
        let error = #expect(throws: AppError.self) { try JSONCoding.decode([String: Int].self, from: body.utf8) }
        #expect(error?.code == .invalidArgument)
        #expect(throws: AppError.self) { try JSONCoding.decode(Both.self, from: "{\"e\u{301}\":1,\"other\":3}".utf8) }
    }

    @Test func `A combining mark after a delimiter does not hide the delimiter`() async throws {
        let response = try await respond(
            .get, "/?a=%CC%81b&c=d", headers: [.cookie: "a=1;\u{301}b=2; c=\u{301}3; d=4"]
        ) { routes in
            routes.get("", Query("a"), Query("c"), Cookie("a"), Cookie("c"), Cookie("d")) { a, c, one, three, four in
                "\(a)|\(c)|\(one ?? "-")|\(three ?? "-")|\(four ?? "-")"
            }
        }
        #expect(text(response).isExactly("\u{301}b|d|1|\u{301}3|4"))
        let fields = try FormFields(urlEncoded: "a=\u{301}1&\u{301}b=2&c[\u{301}d]=3")
        #expect(fields.root.names.count == 3)
        #expect(fields.root["\u{301}b"] != nil)
        #expect(fields.root["c"]?["\u{301}d"] != nil)
    }

    @Test(
        arguments: [
            (#"text/html;level="1,2", application/json;q=0.5"#, "text/html"),
            (#"text/html;x="a\",b", application/json;q=0.5"#, "text/html"),
            (#"text/html;q=0.1;x=";q=1", application/json;q=0.5"#, "application/json"),
            ("text/html;q=0.1,\u{301}, application/json;q=0.5", "application/json"),
            (#"text/html;x="a, application/json"#, nil),
        ] as [(String, String?)])
    func `A comma in a quoted parameter does not end an element of Accept`(field: String, type: String?) {
        let request = Request(method: .get, target: "/", headers: [.accept: field])
        #expect(request.preferredType(of: "text/html", "application/json") == type)
    }

    @Test func `A list is split at the bytes of its commas, outside quoted strings`() {
        let elements = FieldList.elements("a,\u{301}b ,, \"c,\\\"d\",\u{200D}\"\u{FE0F},\"")
        let expected = ["a", "\u{301}b", "\"c,\\\"d\"", "\u{200D}\"\u{FE0F},\""]
        #expect(elements.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
    }

    @Test func `A comma in a quoted directive of Cache-Control does not end it`() {
        var response = Response(status: .ok, headers: [.cacheControl: #"max-age=1, x="a, public", public"#])
        response.forbidSharedCaching()
        #expect(response.headers[.cacheControl] == #"private, max-age=1, x="a, public""#)
    }

    @Test(
        arguments: [
            ("a.txt", "a.txt"), ("C:\\x\\a.txt", "a.txt"), ("a\\", "a"), ("../\u{301}a", "\u{301}a"),
            ("x\\\u{200D}a", "\u{200D}a"), ("/", nil), ("..", nil), ("a/..", nil), ("a\nb", nil), ("", nil),
            (String(repeating: "\u{E9}", count: 200), String(repeating: "\u{E9}", count: 127)),
        ] as [(String, String?)])
    func `The name of an uploaded file is its last component, at most 255 bytes of it`(name: String, base: String?) {
        let found = UploadedFile.baseName(name)
        #expect(found.map { Array($0.utf8) } == base.map { Array($0.utf8) })
    }

    private enum Unit: String, LosslessStringConvertible, Sendable {
        case cafe = "caf\u{E9}"
        case kelvin = "K"
    }

    @Test(arguments: [("caf\u{E9}", true), ("cafe\u{301}", false), ("K", true), ("\u{212A}", false), ("x", false)])
    func `A parameter whose type is an enumeration is compared by code units`(text: String, isValid: Bool) {
        #expect((Unit(text) != nil) == isValid)
    }

    @Test(arguments: [
        ("1.5", true), ("-2e3", true), (".5", true), ("0x1p3", false), ("0x10", false), ("nan", false), ("inf", false),
        ("infinity", false), ("1e999", false), ("1.", false), ("1_0", false),
    ])
    func `Numbers in forms and queries are finite and decimal`(text: String, isValid: Bool) async throws {
        struct Numbers: Codable, Sendable, ResponseConvertible {
            var double: Double
            var float: Float
        }
        let form = try await respond(
            .post, "/", headers: [.contentType: "application/x-www-form-urlencoded"],
            body: "double=\(text)&float=\(text)"
        ) { $0.post("", Body(Numbers.self, as: .form)) { $0 } }
        #expect(form.status == (isValid ? .ok : .unprocessableContent), "\(text)")
        let query = try await respond(.get, "/?d=\(text)&f=\(text)") { routes in
            routes.get("", Query("d", as: Double.self), Query("f", as: Float.self)) { _, _ in "" }
        }
        #expect(query.status == (isValid ? .ok : .badRequest), "\(text)")
    }

    @Test func `Form fields whose names differ in their code units are different fields`() throws {
        let fields = try FormFields(urlEncoded: "\u{E9}=1&e\u{301}=2&K=3&\u{212A}=4")
        #expect(fields.root.names.count == 4)
    }

    @Test(
        arguments: [
            ("tags=a&tags=b", .ok), ("tags[]=a&tags[]=b", .ok), ("tags=a&tags[]=b", .ok), ("tags[0]=a&tags[1]=b", .ok),
            ("tags=a&tags[0]=b", .unprocessableContent), ("tags[]=a&tags[0]=b", .unprocessableContent),
            ("tags=a&tags[x]=b", .unprocessableContent), ("tags=&tags=a", .ok), ("name=&name=a", .unprocessableContent),
            ("name=a&name[]=b", .unprocessableContent), ("tags[0]=a&tags[x]=b", .unprocessableContent),
            ("name=a&name=b", .unprocessableContent),
        ] as [(String, HTTPResponse.Status)])
    func `A field that is given twice, or as a list in two notations, is rejected instead of dropping values`(
        form: String, status: HTTPResponse.Status
    ) async throws {
        struct Tags: Codable, Sendable, ResponseConvertible {
            var tags: [String]
            var name: String?
        }
        let response = try await respond(
            .post, "/", headers: [.contentType: "application/x-www-form-urlencoded"], body: form
        ) { $0.post("", Body(Tags.self, as: .form)) { $0 } }
        #expect(response.status == status, "\(form)")
        if status != .ok {
            #expect(
                try problem(response).errors?.first?.pointer
                    == (form.utf8.first == UInt8(ascii: "t") ? "/tags" : "/name"))
        }
    }

    @Test func `The strings of a oneOf rule are compared by code units`() {
        let constraint = Constraint<String>.oneOf("caf\u{E9}")
        let rule = Rule<String>("word", \.self, constraint)
        #expect(rule.name == "word")
        #expect(["cafe\u{301}", "caf\u{E9}"].map { Wrapper(word: $0).validationFailures().isEmpty } == [false, true])
    }

    private struct Wrapper: Validatable {
        let word: String
        static let rules: [Rule<Wrapper>] = [Rule("word", \.word, .oneOf("caf\u{E9}"))]
    }

    @Test(arguments: [
        ("https://example.org", "example.org", true), ("https://example.org", "EXAMPLE.org:443", true),
        ("https://example.org:443", "example.org", true), ("http://example.org", "example.org:80", true),
        ("http://example.org", "example.org:443", false), ("https://example.org", "example.org:80", false),
        ("https://example.org:8443", "example.org:8443", true), ("https://example.org:8443", "example.org", false),
        ("http://[::1]:8080", "[::1]:8080", true), ("http://[::1]", "[::1]:80", true), ("null", "example.org", false),
        ("", "", false), ("https://", "", false), ("https://example.org/path", "example.org", false),
        ("https://evil.org/example.org", "example.org", false), ("https://example.or\u{67}", "example.org", true),
        ("https://\u{212A}.org", "k.org", false), ("https://\u{301}example.org", "example.org", false),
    ])
    func `An origin matches an authority with or without the default port`(
        origin: String, authority: String, isSame: Bool
    ) {
        let request = Request(method: .get, target: "/", authority: authority)
        #expect((WebOrigin(origin)?.isTarget(of: request) ?? false) == isSame)
    }

    @Test(arguments: [
        ("http", false, true), ("https", false, true), ("http", true, false), ("https", true, true),
        ("ws", false, false),
        ("wss", true, false),
    ])
    func `A page without TLS is not of the same origin as a service with TLS`(
        scheme: String, isSecure: Bool, isSame: Bool
    ) {
        let request = Request(method: .get, target: "/", authority: "example.org:444", isSecure: isSecure)
        #expect((WebOrigin("\(scheme)://example.org:444")?.isTarget(of: request) ?? false) == isSame)
    }

    @Test(arguments: [
        ("limit=1&limit=2", "limit"), ("tag=a&tag=b&sort=x&sort=x", "sort"), ("limit=1&%6Cimit=2", "limit"),
    ])
    func `A query parameter with one value that is given twice is rejected`(query: String, name: String) async throws {
        let routes = Routes()
        routes.get(
            "", Query("limit", as: Int?.self), Query("sort", default: "a"), Query("tag", as: [String].self)
        ) { _, _, tags in tags.joined(separator: " ") }
        let router = try Router(routes)
        let request = Request(method: .get, target: "/?" + query)
        let response = await router.respond(to: request)
        #expect(response.error?.message == "The query parameter \"\(name)\" must occur once, not 2 times.")
    }

    @Test(arguments: [
        (#"; name="a""#, "a"), (#"; name="a\""#, "a\\"), (#"; name="a%22b""#, "a\"b"),
        (#"; name="a%0D%0Ab""#, "a\r\nb"),
        (#"; name="a%41""#, "a%41"), (#"; name="a\"b""#, "a\"b"), ("; name=\"\u{301}a\"\u{20}", "\u{301}a"),
        (#"; name="a\"; x="y""#, "a\\"), (#"; name=token"#, "token"), (#"; name="a;b""#, "a;b"),
    ])
    func `Names of form parts are parsed as browsers encode them`(field: String, name: String) throws {
        #expect(try #require(FieldParameters.parse(field, .browser)?["name"]).isExactly(name))
    }

    @Test(arguments: [(#"; a="b\"c\d""#, #"b"cd"#), (#"; a="x;y""#, "x;y"), ("; a=b ; c=d", "b"), ("; A=b", "b")])
    func `Other parameters are parsed as specified by RFC 9110`(field: String, value: String) {
        #expect(FieldParameters.parse(field)?["a"] == value)
    }

    @Test(arguments: [#"; a="b"#, "; a", "; a=", "a=b", #"; a="b"c"#, "; a=b c", "; =b", #"; a="b\"#])
    func `Malformed parameters are rejected`(field: String) { #expect(FieldParameters.parse(field) == nil) }

    @Test func `A JSON Pointer is escaped correctly if a combining mark follows an escaped character`() {
        let pointer = JSONPointer.root.appending("a/\u{301}~\u{301}")
        #expect(pointer.description.isExactly("/a~1\u{301}~0\u{301}"))
    }
}
