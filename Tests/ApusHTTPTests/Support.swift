import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore

/// Responds to a request with the declared routes.
func respond(
    _ method: HTTPRequest.Method, _ target: String, headers: RequestHeaders = [:], body: String? = nil,
    _ declare: (Routes) -> Void
) async throws -> Response {
    try await respond(
        method, target, headers: headers, body: body.map { RequestBody(ByteBuffer(string: $0)) } ?? .empty, declare)
}

/// Responds to a request with the declared routes.
func respond(
    _ method: HTTPRequest.Method, _ target: String, headers: RequestHeaders, body: RequestBody,
    _ declare: (Routes) -> Void
) async throws -> Response {
    let routes = Routes()
    declare(routes)
    let router = try Router(routes)
    let request = Request(method: method, target: target, headers: headers, body: body)
    return await respond(to: request, through: ErrorRendering()) { await router.respond(to: $0) }
}

/// Responds to a request with a handler behind middleware, of which the first one is outermost.
func respond(
    to request: Request, through middleware: any Middleware..., handler: @escaping Handler
) async -> Response {
    await chain(middleware, handler)(request)
}

/// Returns the body of a response as text; an empty string for a streamed body.
func text(_ response: Response) -> String {
    guard let bytes = response.body.buffer else { return "" }
    return String(buffer: bytes)
}

/// Decodes the problem document of a response.
func problem(_ response: Response) throws -> ProblemDetails {
    try JSONCoding.decode(ProblemDetails.self, from: ByteBuffer(string: text(response)))
}
