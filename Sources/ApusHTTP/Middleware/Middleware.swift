/// A function that responds to a request or throws an error.
public typealias Handler = @Sendable (Request) async throws -> Response

/// The rest of a chain, as seen by a middleware.
///
/// It does not throw: an error from further in is returned as a response with ``Response/error``, so middleware that
/// modifies responses also modifies error responses.
public typealias Next = @Sendable (Request) async -> Response

/// Code that runs around every request: before the request is passed on, after the response is returned, or instead of
/// both.
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
/// Errors are also responses: `next` returns them with the status and the header fields of the error (`Retry-After`,
/// `Allow` …), but without a body, which ``ErrorRendering`` adds further out. ``Response/error`` distinguishes them
/// from other responses.
public protocol Middleware: Sendable {
    /// Handles a request.
    /// - Parameter next: The rest of the chain. Call it at most once.
    /// - Throws: An error, which the chain converts to a response for the middleware around this one.
    func handle(_ request: Request, next: Next) async throws -> Response

    /// Returns this middleware wrapped around the rest of a chain. It is called once, when the chain is built, and has
    /// a default implementation that need not be replaced.
    ///
    /// It is a requirement so that the compiler emits one for each type, which calls ``handle(_:next:)`` directly.
    func wrapping(_ next: @escaping Next) -> Next

    /// Adds what the middleware contributes, such as an error, to the description of a route. By default, it adds
    /// nothing.
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

/// Returns the chain of middlewares around a handler. The first middleware is the outermost.
package func chain(_ middlewares: [any Middleware], _ handler: @escaping Handler) -> Next {
    // Not `reduce`: a function that passes through generic code is returned in a wrapper, whose cost every request
    // pays.
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
