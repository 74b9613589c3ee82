// The code blocks of the articles in Documentation. ArticleTests checks that this file contains each of them word for
// word, apart from indentation.

import Apus
import ApusHTTPClient
import ApusJSON

struct Theme: Codable, Sendable {
    var color: String
}

struct Avatar: Decodable, Sendable {
    let title: String
    let picture: UploadedFile
}

struct Plate: Codable, Sendable {
    let text: String
}

extension Plate: SchemaDescribing {
    static let schema: JSON.Value = ["type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"]
    static let schemaExample = Plate(text: "AB-1234")
}

struct Rates: Codable, Sendable, ResponseConvertible {
    let euro: Double
}

struct Registration: Decodable, Sendable, Validatable {
    let name: String
    let email: String
    let age: Int?
    let tags: [String]
    let country: String?

    static let rules: [Rule<Registration>] = [
        Rule("name", \.name, .line(1...80)),
        Rule("email", \.email, .email),
        Rule("age", \.age, .range(18...150)),
        Rule("tags", \.tags, .count(0...10)),
        Rule("country", \.country, .pattern("^[A-Z]{2}$", message: "must be a country code such as CH")),
    ]
}

struct Price: Codable, Sendable, ResponseConvertible {
    let id: Int
    let amount: Double
}

struct Member: TokenPrincipal {
    let subject: String

    init(claims: JWT.Claims) { subject = claims.subject }
}

struct Order: Identifiable, Sendable {
    let id: String
}

struct Reading: Codable, Sendable, Validatable {
    let celsius: Double
    let at: Date

    static let rules: [Rule<Reading>] = [Rule("celsius", \.celsius, .range(-90...60))]
}

extension HTTPField.Name {
    static let tenant = HTTPField.Name("X-Tenant")!
}

extension WebSocketCloseCode {
    static let roomClosed = WebSocketCloseCode(4001)!
}

enum PriceEndpoints {
    static let show = Endpoint(.get, "prices/:id", Path("id", as: Int.self), answers: Price.self)
    static let change = Endpoint(
        .put, "prices/:id", Path("id", as: Int.self), Body(Price.self), answers: NoContent.self)
}

enum Articles {
    static func endpoints(_ routes: Routes) {
        routes.on(PriceEndpoints.show) { id in Price(id: id, amount: 1) }
        routes.on(PriceEndpoints.change) { id, price in NoContent() }
    }

    static func calls(_ client: HTTPClient) async throws -> Double {
        let price = try await client.call(PriceEndpoints.show, at: "https://prices.example.org", 5)
        return price.amount
    }

    static func streams(_ client: HTTPClient, _ pieces: AsyncStream<ByteBuffer>) async throws -> Int {
        var size = 0
        let report = HTTPClient.StreamedBody(pieces)
        return try await client.stream(.post, "https://files.example.org/reports", body: report) { response in
            for try await piece in response.body { size += piece.readableBytes }
            return size
        }
    }

    static func inputs(_ routes: Routes) {
        routes.get(
            "search/:shop", Path("shop"), Query("page", as: Int.self, default: 1), Query("tag", as: [String].self),
            Header(.ifNoneMatch), Cookie("theme", as: String?.self)
        ) { shop, page, tags, state, theme in
            "\(shop) \(page) \(tags) \(state ?? "new") \(theme ?? "light")"
        }
    }

    static func headers(_ routes: Routes) {
        routes.get("tenant", Header(.tenant, as: String.self)) { tenant in
            var response = Response.text("The tenant is \(tenant).")
            response.headers[.tenant] = tenant
            return response
        }
    }

    static func pages(_ routes: Routes, _ items: [Price]) {
        routes.get("prices", Paging(by: Int.self, limit: 20, maximum: 100)) { page in
            let rest = items.filter { $0.id > page.after ?? 0 }.prefix(page.limit + 1)
            return try Page(Array(rest), of: page, by: \.id)
        }
    }

    static func describing(_ routes: Routes) {
        routes.get("rates", Query("day", as: String.self)) { _ in Rates(euro: 1) }
            .summary("Get the exchange rates of a day.", "Published by the central bank at noon.")
            .tags("money").errorResponse(.notFound, "No rates for this day.")
    }

    static func uploads(_ routes: Routes) {
        routes.post("avatar", Body(Avatar.self, as: .multipart(threshold: 64 << 10))) { avatar in
            try await avatar.picture.store(at: "pictures/\(Identifier<Avatar>())")
            return NoContent()
        }.bodyLimit(8 << 20)
    }

    static func forms(_ routes: Routes) {
        routes.post("themes", Body(Theme.self, as: .form, .json)) { theme in Redirect(to: "/themes/\(theme.color)") }
    }

    static func files(_ routes: Routes) {
        routes.get("report") { try await FileResponse("reports/today.pdf", downloadName: "Report.pdf") }
        routes.files("assets", from: "public", cacheControl: "public, max-age=86400")
    }

    static func events(_ routes: Routes, _ prices: @escaping @Sendable (Int) -> AsyncStream<Price>) {
        routes.get("prices/live", LastEventID()) { last in
            EventStream { events in
                for await price in prices(last.flatMap { Int($0) } ?? 0) {
                    try await events.send(ServerSentEvent(json: price, event: "price", id: "\(price.id)"))
                }
            }
        }
    }

    static func ticks(_ routes: Routes) {
        routes.get("ticks") {
            EventStream(heartbeat: .seconds(30), retry: .seconds(10)) { events in
                try await events.send(ServerSentEvent("tick"))
            }
        }
    }

    static func rooms(_ routes: Routes, _ hub: Hub<String>) {
        routes.group("v1/rooms", Authenticated(Member.self)) { routes in
            routes.webSocket(":room", Path("room")) { socket, member, room in
                try await hub.join(room) { place in  // messages broadcast from now on are queued
                    try await socket.send("welcome to \(room)")  // sent first
                    try await place.relay(socket) { message in hub.broadcast(message, to: room) }
                }
            }
        }
    }

    static func stations(_ routes: Routes, _ hub: Hub<String>) {
        routes.webSocket("stations/:id", Path("id")) { socket, station in
            for try await reading in socket.messages(of: Reading.self) {
                try hub.broadcast(json: reading, to: station)
            }
        }
    }

    static func provideHub(_ app: inout AppBuilder) {
        app.provide(Hub<Order.ID>.self) { Hub("orders", sharedThrough: try $0.resolve(), logger: try $0.resolve()) }
    }

    static func watch(
        _ socket: WebSocket, _ hub: Hub<Order.ID>, _ order: Order.ID, snapshot: @escaping @Sendable () -> Reading
    ) async throws {
        try await hub.join(order) { member in
            try await socket.send(json: snapshot())  // everything after this snapshot follows
            try await member.relay(socket, resync: { try await socket.send(json: snapshot()) })
        }
    }

    static func relayReadings(_ socket: WebSocket, _ hub: Hub<String>, _ station: String) async throws {
        for try await message in socket {
            do {
                try hub.broadcast(json: message.decode(Reading.self), to: station)
            } catch let error as AppError where error.code == .invalidArgument {
                try await socket.send(json: ["error": error.message])
            }
        }
    }

    static func sessions(_ routes: Routes, _ sessions: Sessions) {
        routes.group(sessions, CrossOriginProtection()) { routes in
            routes.post("login", Session.Current(), Body(Theme.self, as: .form)) { session, theme in
                try session.renew()
                try session.set("theme", theme)
                return Redirect(to: "/")
            }
            routes.get("", Session.Current()) { session in
                try session.get("theme", as: Theme.self)?.color ?? "none"
            }
        }
    }

    static func cart(_ app: inout AppBuilder, _ secret: Secret<String>) {
        app.migrations.add(CreateSessions.self, CreateIdempotencyKeys.self)
        app.routes { routes, container in
            let database: any Database = try container.resolve()
            let sessions = try Sessions(SQLSessionStore(database), secrets: [secret])
            routes.group("cart", sessions, CrossOriginProtection(), IdempotencyKeys(database)) { routes in
                routes.post("prices", Session.Current(), Body(Price.self)) { session, price in
                    try session.set("last", price.id)
                    return Created(price, at: "/cart/prices/\(price.id)")
                }
            }
        }
    }

    static func client(_ client: HTTPClient) async throws -> Rates {
        let response = try await client.send(.get, "https://api.example.org/rates", limit: 64 << 10)
        guard response.status == .ok else { throw AppError(.unavailable, "The exchange rates are unavailable.") }
        return try response.json(Rates.self)
    }

    static func breaker(_ breaker: CircuitBreaker, _ charge: () async throws -> String) async throws -> String {
        try await breaker.run { try await charge() }
    }
}
