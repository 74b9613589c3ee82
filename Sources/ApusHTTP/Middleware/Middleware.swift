/// Answers a request, or throws why it cannot.
public typealias Handler = @Sendable (Request) async throws -> Response

/// What follows a middleware in its chain.
///
/// It does not throw: an error from further in is a response whose ``Response/error`` says what went wrong, so a middleware
/// that decorates responses decorates those of errors, too.
public typealias Next = @Sendable (Request) async -> Response

/// Code that runs around every request: before the request goes on, after the response came back, or instead of both.
///
/// ```swift
/// struct Teapot: Middleware {
///     func handle(_ request: Request, next: Next) async throws -> Response {
///         guard request.path != "/coffee" else { return Response(status: .init(code: 418)) }
///         var response = await next(request)
///         response.headers[.server] = "teapot"
///         return response
///     }
/// }
/// ```
///
/// An error is a response, too: `next` returns it with the status and the fields of the error (`Retry-After`, `Allow` …)
/// and without a body, which ``ErrorRendering`` writes further out. ``Response/error`` tells it from others.
public protocol Middleware: Sendable {
    /// - Parameter next: The rest of the chain. Call it at most once.
    /// - Throws: An error, which the chain turns into a response for the middleware around this one.
    func handle(_ request: Request, next: Next) async throws -> Response

    /// This middleware around the rest of a chain. Called once, when the chain is built; there is nothing to implement.
    ///
    /// It is a requirement so that the compiler emits one for each type, which calls ``handle(_:next:)`` directly.
    func wrapping(_ next: @escaping Next) -> Next

    /// Adds to the description of a route what the middleware brings to it, such as an error. Nothing by default.
    func describe(_ operation: inout OpenAPI.Operation)
}

extension Middleware {
    @inlinable
    public func wrapping(_ next: @escaping Next) -> Next {
        { request in
            do {
                return try await self.handle(request, next: next)
            } catch {
                return Response(error: error)
            }
        }
    }

    public func describe(_ operation: inout OpenAPI.Operation) {}
}

/// The chain of middlewares, the first one outermost, around a handler.
package func chain(_ middlewares: [any Middleware], _ handler: @escaping Handler) -> Next {
    // Not by `reduce`: a function that passes a generic one comes back wrapped, and each wrap costs every request.
    var chained: Next = { request in
        do {
            return try await handler(request)
        } catch {
            return Response(error: error)
        }
    }
    for middleware in middlewares.reversed() { chained = middleware.wrapping(chained) }
    return chained
}
