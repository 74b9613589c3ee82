import ApusCore
import ApusTesting
import Apus
import Testing

private struct Address: Codable, Sendable, Equatable {
    var city: String
    var lines: [String]
}

private struct Parcel: Codable, Sendable, Equatable, ResponseConvertible {
    var name: String
    var weight: Double
    var isFragile: Bool
    var note: String?
    var to: Address
    var stops: [Address]
}

/// The values of all inputs of a request.
private struct Everything: Codable, Sendable, Equatable, ResponseConvertible {
    var path: String
    var number: Int
    var search: String?
    var tags: [String]
    var limit: Int
    var agent: String?
    var theme: String?
}

/// An input that a client cannot send.
private struct ServerOnlyInput: RequestInput {
    func extract(from request: Request) -> String { "192.0.2.1" }
}

private enum Shop {
    static let everything = Endpoint(
        .get, "shops/:shop/:number", Path("shop"), Path("number", as: Int.self), Query("search", as: String?.self),
        Query("tag", as: [String].self), Query("limit", as: Int.self, default: 20), Header(HTTPField.Name("X-Agent")!),
        Cookie("theme", as: String?.self), answers: Everything.self)
    static let json = Endpoint(.put, "json", Body(Parcel.self), answers: Parcel.self)
    static let form = Endpoint(.post, "form", Body(Parcel.self, as: .form), answers: Created<Parcel>.self)
    static let uploads = Endpoint(.post, "uploads", Body(Parcel.self, as: .multipart()), answers: NoContent.self)
    static let bytes = Endpoint(.post, "bytes", RawBody(), answers: String.self)
    static let pages = Endpoint(.get, "pages", Paging(by: Int.self), answers: Page<Int>.self)
    static let text = Endpoint(.get, "text/:id", Path("id"), answers: String.self)
    static let resume = Endpoint(.get, "resume", LastEventID(), answers: String.self)
    static let cookie = Endpoint(.get, "cookie", Cookie("theme"), answers: String.self)
    static let redirect = Endpoint(.post, "redirect", answers: Redirect.self)
    static let accepted = Endpoint(.post, "accepted", answers: Accepted<[Int]>.self)
    static let nothing = Endpoint(.delete, "nothing", answers: NoContent.self)
    static let raw = Endpoint(.get, "raw", answers: Response.self)
    static let serverOnly = Endpoint(.get, "server-only", ServerOnlyInput(), answers: String.self)
    static let led = Endpoint(.get, "led", answers: String.self)
    static let ledByTwo = Endpoint(.get, "led/:a/:b", Path("a"), Path("b"), answers: String.self)
    static let missing = Endpoint(.get, "missing", answers: Parcel.self)
}

private struct ShopModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.routes { routes in
            routes.on(Shop.everything) { path, number, search, tags, limit, agent, theme in
                Everything(
                    path: path, number: number, search: search, tags: tags, limit: limit, agent: agent, theme: theme)
            }
            routes.on(Shop.json) { $0 }
            routes.on(Shop.form) { Created($0, at: "/parcels/1") }
            routes.on(Shop.uploads) { _ in NoContent() }
            routes.on(Shop.bytes) { String(buffer: $0) }
            routes.on(Shop.pages) { try Page(Array(((($0.after ?? 0) + 1)...5).prefix($0.limit + 1)), of: $0) { $0 } }
            routes.on(Shop.text) { $0 }
            routes.on(Shop.resume) { $0 ?? "from the beginning" }
            routes.on(Shop.cookie) { $0 ?? "none" }
            routes.on(Shop.redirect) { Redirect(to: "/elsewhere", .permanent) }
            routes.on(Shop.accepted) { Accepted([1, 2]) }
            routes.on(Shop.nothing) { NoContent() }
            routes.on(Shop.raw) { Response(status: .init(code: 299), headers: [.server: "me"]) }
            routes.on(Shop.serverOnly) { $0 }
            routes.get("missing") { _ in throw AppError(.notFound, "Parcel not found.") }
            routes.group(Query("who", as: String?.self)) { routes in
                routes.on(Shop.led) { "\($0 ?? "nobody")" }
                routes.on(Shop.ledByTwo) { "\($0 ?? "nobody") \($1) \($2)" }
            }
        }
    }
}

@Suite struct EndpointClientTests {
    private let parcel = Parcel(
        name: "A & B=ü+%", weight: 2.5, isFragile: true, note: nil, to: Address(city: "Évora", lines: ["1", "a b"]),
        stops: [Address(city: "x", lines: []), Address(city: "y", lines: ["z"])])

    private func test(_ body: @Sendable (TestClient) async throws -> Void) async throws {
        try await App("shop") { ShopModule() }.test { try await body($0.client) }
    }

    @Test func `Path, query, header and cookie values reach the handler unchanged`() async throws {
        try await test { client in
            let special = "a/b?c#d e%2F+&=é🐦"
            let received = try await client.call(
                Shop.everything, special, -5, special, [special, ""], 3, "agent (x)", "dark")
            #expect(
                received
                    == Everything(
                        path: special, number: -5, search: special, tags: [special, ""], limit: 3, agent: "agent (x)",
                        theme: "dark"))
            let defaults = try await client.call(Shop.everything, "x", 0, nil, [], 20, nil, nil)
            #expect(defaults == Everything(path: "x", number: 0, tags: [], limit: 20))
            #expect(try await client.call(Shop.resume, "17") == "17")
            #expect(try await client.call(Shop.resume, nil) == "from the beginning")
        }
    }

    @Test func `A body is sent as JSON, as a form or as bytes`() async throws {
        try await test { client in
            #expect(try await client.call(Shop.json, parcel) == parcel)
            let created = try await client.call(Shop.form, parcel)
            #expect(created.value == parcel && created.location == "/parcels/1")
            #expect(try await client.call(Shop.bytes, ByteBuffer(string: "raw")) == "raw")
        }
    }

    @Test func `The output types of endpoints are decoded`() async throws {
        try await test { client in
            #expect(try await client.call(Shop.accepted).value == [1, 2])
            _ = try await client.call(Shop.nothing)
            let redirect = try await client.call(Shop.redirect)
            #expect(redirect.location == "/elsewhere")
            #expect(redirect.kind == .permanent)
            let raw = try await client.call(Shop.raw)
            #expect(raw.status.code == 299 && raw.headers[.server] == "me")
        }
    }

    @Test func `A list is read page by page`() async throws {
        try await test { client in
            var items: [Int] = []
            var cursor: String?
            repeat {
                let page = try await client.call(Shop.pages, PageRequest(cursor: cursor, limit: 2))
                items += page.items
                cursor = page.next
            } while cursor != nil
            #expect(items == [1, 2, 3, 4, 5])
        }
    }

    @Test func `The input of a group comes first in the handler and is not part of the call`() async throws {
        try await test { client in
            let led = try await client.call(Shop.led)
            let ledByTwo = try await client.call(Shop.ledByTwo, "x", "y")
            #expect(led == "nobody")
            #expect(ledByTwo == "nobody x y")
        }
    }

    @Test func `An unsuccessful response is thrown as an error with its problem details`() async throws {
        try await test { client in
            let error = await #expect(throws: UnexpectedResponse.self) { try await client.call(Shop.missing) }
            #expect(error?.status == .notFound)
            #expect(error?.problem?.code == "NOT_FOUND")
            #expect(error?.description == "404 Not Found: Parcel not found.")
        }
    }

    @Test(arguments: ["", ".", ".."])
    func `An invalid path segment is rejected by the client`(text: String) async throws {
        try await test { client in
            let error = await #expect(throws: AppError.self) { try await client.call(Shop.text, text) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test(arguments: ["a;b", "a\r\nSet-Cookie: x", "ü"])
    func `An invalid cookie value is rejected by the client`(text: String) async throws {
        try await test { client in
            let error = await #expect(throws: AppError.self) { try await client.call(Shop.cookie, text) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func `Invalid header values and inputs that cannot be sent are rejected by the client`()
        async throws
    {
        try await test { client in
            let injected = await #expect(throws: AppError.self) {
                try await client.call(Shop.everything, "x", 0, nil, [], 20, "a\r\nb: c", nil)
            }
            #expect(injected?.code == .invalidArgument)
            let serverOnly = await #expect(throws: AppError.self) {
                try await client.call(Shop.serverOnly, "192.0.2.7")
            }
            #expect(serverOnly?.code == .unimplemented)
            let files = await #expect(throws: AppError.self) { try await client.call(Shop.uploads, parcel) }
            #expect(files?.code == .unimplemented)
        }
    }

    @Test func `An endpoint in a group with a path is rejected, and the error shows its location`() {
        let routes = Routes()
        routes.group("v2") { routes in
            routes.on(Shop.led, file: "Shop/Routes.swift", line: 7) { "" }
        }
        let error = #expect(throws: RouteError.self) { _ = try Router(routes) }
        #expect(
            error?.description
                == "The endpoint at Shop/Routes.swift:7 has an absolute path: remove its group's prefix /v2, which changes it to /v2/led."
        )
    }
}
