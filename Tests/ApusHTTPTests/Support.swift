import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore

/// Answers one request with the routes that are declared.
func respond(
    _ method: HTTPRequest.Method, _ target: String, headers: RequestHeaders = [:], body: String? = nil,
    _ declare: (Routes) -> Void
) async throws -> Response {
    try await respond(
        method, target, headers: headers, body: body.map { RequestBody(ByteBuffer(string: $0)) } ?? .empty, declare)
}

/// Answers one request with the routes that are declared.
func respond(
    _ method: HTTPRequest.Method, _ target: String, headers: RequestHeaders, body: RequestBody,
    _ declare: (Routes) -> Void
) async throws -> Response {
    let routes = Routes()
    declare(routes)
    let router = try Router(routes)
    let request = Request(method: method, target: target, headers: headers, body: body)
    return await answer(request, behind: ErrorRendering()) { await router.respond(to: $0) }
}

/// Answers one request by a handler behind middleware, the first one outermost.
func answer(
    _ request: Request, behind middleware: any Middleware..., by handler: @escaping Handler
) async -> Response {
    await chain(middleware, handler)(request)
}

/// The body of a response that is at hand, as text.
func text(_ response: Response) -> String {
    guard let bytes = response.body.buffer else { return "" }
    return String(buffer: bytes)
}

/// The problem document of a response.
func problem(_ response: Response) throws -> ProblemDetails {
    try JSONCoding.decode(ProblemDetails.self, from: ByteBuffer(string: text(response)))
}
