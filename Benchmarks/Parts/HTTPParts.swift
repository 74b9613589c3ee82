import Apus
import ApusServer
import HTTPTypes
import NIOCore

/// Parsing requests, routing, middleware, and encoding response heads.
enum HTTPParts {
    private static let small = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
    private static let browser = """
        GET /v1/orders/42?expand=items HTTP/1.1\r
        Host: api.example.org\r
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r
        Accept-Language: en-US,en;q=0.5\r
        Accept-Encoding: gzip, deflate, br, zstd\r
        Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef\r
        Connection: keep-alive\r
        Cookie: session=0123456789abcdef; theme=dark\r
        Upgrade-Insecure-Requests: 1\r
        Sec-Fetch-Dest: document\r
        Priority: u=0, i\r
        \r

        """

    static func all() throws -> [Part] {
        let heads = try [("small", small), ("browser", browser)].map { name, text in
            let bytes = ByteBuffer(string: text)
            _ = try read(bytes)
            return Part(name: "parser, \(name) request") { use(try read(bytes).method) }
        }
        let browserHead = try read(ByteBuffer(string: browser))
        let routes = try router(routes: 500)
        let request = Request(method: .get, target: "/plaintext")
        let flat = Request(method: .get, target: "/v1/things250/all")
        let one = Request(method: .get, target: "/v1/things250/42")
        let plain = Request(method: .get, target: "/plain/42?page=7")
        let typed = Request(method: .get, target: "/typed/42?page=7")
        let deep = Request(method: .get, target: "/v1/things250/42/parts/7")
        let fields: HTTPFields = [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"]
        let date = Array("Date: Mon, 23 Nov 2026 21:40:42 GMT\r\n".utf8)
        return heads + [
            Part(name: "headers, lookup of one in eleven") { use(browserHead.headers[.authorization]) },
            Part(name: "headers, all as strings") { use(browserHead.headers.fields.count) },
            Part(name: "route, plain handler") { use(await routes.respond(to: request).status) },
            Part(name: "1 of 500 routes, no parameter") { use(await routes.respond(to: flat).status) },
            Part(name: "1 of 500 routes, one parameter") { use(await routes.respond(to: one).status) },
            Part(name: "plain closure, path and query parameter") {
                use(await routes.respond(to: plain).status)
            },
            Part(name: "typed endpoint, path and query parameter") {
                use(await routes.respond(to: typed).status)
            },
            Part(name: "1 of 500 routes, two parameters") { use(await routes.respond(to: deep).status) },
            Part(name: "route with five middlewares") {
                use(await routes.respond(to: Request(method: .get, target: "/middleware")).status)
            },
            Part(name: "response head") {
                var buffer = ByteBuffer()
                ResponseHeadEncoder.encode(
                    status: .ok, headers: fields, framing: .length(13), keepAlive: true, isVersion10: false,
                    dateLine: date, into: &buffer)
                use(buffer.readableBytes)
            },
            Part(name: "request, bytes in to bytes out") {
                let head = try read(ByteBuffer(string: small))
                let response = await routes.respond(
                    to: Request(method: head.method, target: head.target, headers: head.headers))
                var buffer = ByteBuffer()
                ResponseHeadEncoder.encode(
                    status: response.status, headers: response.headers, framing: .length(13), keepAlive: true,
                    isVersion10: false, dateLine: date, into: &buffer)
                use(buffer.readableBytes)
            },
        ]
    }

    private static func read(_ bytes: ByteBuffer) throws -> RequestHead {
        var parser = HTTP1Parser(maxHeadBytes: 16 << 10, maxHeadFields: 100)
        parser.append(bytes)
        guard case .head(let head) = try parser.next() else { throw UnknownPart() }
        return head
    }

    private static func router(routes count: Int) throws -> Router {
        let routes = Routes()
        let fixed = Response.text("Hello, World!")
        routes.get("plaintext") { "Hello, World!" }
        routes.get("plain/:id") { request in
            guard let id = request.parameters["id"].flatMap({ Int($0) }),
                let page = try request.queryValues("page").first.flatMap({ Int($0) })
            else { throw AppError(.invalidArgument, "The id and the page must be numbers.") }
            return .text("\(id) \(page)")
        }
        routes.get("typed/:id", Path("id", as: Int.self), Query("page", as: Int.self)) { id, page in "\(id) \(page)" }
        for index in 0..<count {
            routes.get("v1/things\(index)/all") { _ in fixed }
            routes.get("v1/things\(index)/:id") { _ in fixed }
            routes.get("v1/things\(index)/:id/parts/:part", Path("id"), Path("part")) { id, part in id + part }
        }
        routes.group(RequestID(), ErrorRendering(), SecurityHeaders(), CORS(origins: .all), Passing()) { routes in
            routes.get("middleware") { "Hello, World!" }
        }
        return try Router(routes)
    }
}

/// A middleware that does nothing.
private struct Passing: Middleware {
    func handle(_ request: Request, next: Next) async throws -> Response { await next(request) }
}
