import Apus
import ApusTesting
import Foundation
import Testing

@Suite struct ArticleTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Returns the text without indentation, because code inside a function is indented.
    private static func unindented(_ text: String) -> String {
        text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "\n")
    }

    @Test(arguments: [
        "Clients", "Events", "Files", "Forms", "HTTPClient", "Inputs", "OpenAPI", "Sessions", "Validation",
        "WebSockets",
    ])
    func `The code blocks of an article are part of Articles.swift`(article: String) throws {
        let source = try String(
            contentsOf: Self.root.appending(path: "Tests/ApusTests/Articles.swift"), encoding: .utf8)
        let text = try String(
            contentsOf: Self.root.appending(path: "Documentation/\(article).md"), encoding: .utf8)
        let blocks = text.matches(of: /```swift\n((?s).*?)```/).map { String($0.1) }
        #expect(!blocks.isEmpty)
        for block in blocks { #expect(Self.unindented(source).contains(Self.unindented(block)), "\(block)") }
    }

    @Test func `The code of the articles works`() async throws {
        struct ArticleModule: Module {
            let hub = Hub<String>()

            func configure(_ app: inout AppBuilder) throws {
                Articles.provideHub(&app)
                let sessions = try Sessions(
                    MemorySessionStore(), secrets: [Secret("a secret for tests, at least 32 bytes long")])
                app.routes { routes in
                    Articles.endpoints(routes)
                    Articles.inputs(routes)
                    Articles.headers(routes)
                    Articles.ticks(routes)
                    Articles.pages(routes, (1...50).map { Price(id: $0, amount: 1) })
                    Articles.describing(routes)
                    Articles.forms(routes)
                    Articles.uploads(routes)
                    Articles.sessions(routes, sessions)
                    Articles.rooms(routes, hub)
                    Articles.stations(routes, hub)
                    routes.webSocket("orders/:id", Path("id")) { socket, order in
                        try await Articles.watch(socket, Hub(), order) { Reading(celsius: 20, at: Date()) }
                    }
                    routes.webSocket("readings") { socket in try await Articles.relayReadings(socket, hub, "1") }
                    Articles.events(routes) { last in
                        AsyncStream { continuation in
                            continuation.yield(Price(id: last + 1, amount: 2))
                            continuation.finish()
                        }
                    }
                    routes.post("registrations", Body(Registration.self)) { _ in NoContent() }
                }
            }
        }
        try await App("articles") { ArticleModule() }.test { app in
            let client = app.client
            let search = try await client.get("/search/a?tag=x", headers: [.cookie: "theme=dark"])
            #expect(search.text == "a 1 [\"x\"] new dark")
            #expect(try await client.call(PriceEndpoints.show, 5).id == 5)
            _ = try await client.call(PriceEndpoints.change, 5, Price(id: 5, amount: 2))
            let page = try await client.get("/prices?limit=2").json(Page<Price>.self)
            #expect(page.items.map(\.id) == [1, 2] && page.next != nil)
            let events = try await client.get("/prices/live", headers: [HTTPField.Name("Last-Event-ID")!: "6"])
            // On a busy machine, heartbeats may be between the events.
            let prices = events.text.replacing(":\n\n", with: "")
            #expect(prices == "id: 7\nevent: price\ndata: {\"id\":7,\"amount\":2}\n\n")
            let ticks = try await client.get("/ticks").text.replacing(":\n\n", with: "")
            #expect(ticks == "retry: 10000\n\ndata: tick\n\n")
            let tenant = try await client.get("/tenant", headers: [.tenant: "acme"])
            #expect(tenant.text == "The tenant is acme." && tenant.headers[.tenant] == "acme")
            let form: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]
            let theme = try await client.send(.post, "/themes", headers: form, body: ByteBuffer(string: "color=red"))
            #expect(theme.status == .seeOther && theme.headers[.location] == "/themes/red")
            let login = try await client.send(.post, "/login", headers: form, body: ByteBuffer(string: "color=red"))
            let cookie = try #require(login.headers[.setCookie]?.prefix { $0 != ";" })
            #expect(try await client.get("/", headers: [.cookie: String(cookie)]).text == "red")
            try await client.webSocket("/stations/1") { socket in
                try await socket.send(#"{"celsius":61,"at":"2026-01-31T12:00:00Z"}"#)
                let message = try await socket.receive()
                #expect(message == nil)
                #expect(socket.receivedCloseReason == "/celsius must be from -90.0 to 60.0")
            }
            try await client.webSocket("/readings") { socket in
                try await socket.send("{")
                let answer = try await socket.receiveJSON([String: String].self)
                #expect(answer?["error"]?.hasPrefix("The message is not valid JSON.") == true)
            }
            let rejected = try await client.post("/registrations", json: ["name": "", "email": "x"])
            #expect(try rejected.problem().errors?.map(\.pointer) == ["/tags"])
            let abroad: JSON.Value = ["name": "Ada", "email": "ada@example.org", "tags": [], "country": "ch"]
            let foreign = try await client.post("/registrations", json: abroad)
            #expect(try foreign.problem().errors?.map(\.pointer) == ["/country"])
        }
    }
}
