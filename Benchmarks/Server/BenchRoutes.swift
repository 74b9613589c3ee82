import Apus

/// The routes that all compared servers implement.
enum BenchRoutes {
    static func declare(on routes: Routes) {
        routes.get("plaintext") { "Hello, World!" }
        routes.get("json") { Message(message: "Hello, World!", id: 42) }
        routes.get("page") { Page.sample }
        routes.get("user/:id", Path("id")) { id in id }
        routes.post("echo", Body(Message.self)) { message in message }
        routes.group(RequestID(), ErrorRendering(), SecurityHeaders(), CORS(origins: .all), ServerTiming()) {
            routes in
            routes.get("middleware") { "Hello, World!" }
        }
        routes.webSocket("ws") { socket in
            for try await message in socket { try await socket.send(message) }
        }
    }
}

struct Message: Codable, ResponseConvertible {
    let message: String
    let id: Int
}

/// A page of 20 items, 1.4 kB as JSON.
struct Page: Codable, ResponseConvertible {
    struct Item: Codable {
        let id: Int
        let name: String
        let price: Double
        let tags: [String]
        let active: Bool
    }

    let items: [Item]
    let total: Int

    static let sample = Page(
        items: (0..<20).map {
            Item(id: $0, name: "item \($0)", price: 1.5 * Double($0), tags: ["a", "bb"], active: true)
        }, total: 20)
}

/// A typical user-defined middleware: it reads the request and adds a field to the response.
struct ServerTiming: Middleware {
    func handle(_ request: Request, next: Next) async throws -> Response {
        let wantsTiming = request.headers.contains(.te)
        var response = await next(request)
        if !wantsTiming { response.headers[.serverTiming] = "app;dur=0" }
        return response
    }
}

extension HTTPField.Name {
    static let serverTiming = HTTPField.Name("Server-Timing")!
}
