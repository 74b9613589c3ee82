/// Answers a request, or passes an error up.
public typealias Handler = @Sendable (Request) async throws -> Response

/// Something that happens around every request: before it goes on, after the response came back, or instead of it.
///
/// ```swift
/// struct Teapot: Middleware {
///     func handle(_ request: Request, next: Handler) async throws -> Response {
///         guard request.path != "/coffee" else { return Response(status: .init(code: 418)) }
///         return try await next(request)
///     }
/// }
/// ```
public protocol Middleware: Sendable {
    /// - Parameter next: What follows in the chain. Call it once, or not at all.
    /// - Throws: An error that the chain before this one turns into a response.
    func handle(_ request: Request, next: Handler) async throws -> Response

    /// This middleware around what follows it: made once, when the chain is built. There is nothing to implement.
    ///
    /// A requirement, so that the compiler makes one for each type, which calls ``handle(_:next:)`` directly.
    func wrapping(_ next: @escaping Handler) -> Handler

    /// Says in the description of a route what it adds to it, such as an error. By default nothing.
    func describe(_ operation: inout OpenAPI.Operation)
}

extension Middleware {
    @inlinable
    public func wrapping(_ next: @escaping Handler) -> Handler {
        { request in try await self.handle(request, next: next) }
    }

    public func describe(_ operation: inout OpenAPI.Operation) {}
}

/// The chain of middlewares, the first one outermost, around a handler.
package func chain(_ middlewares: [any Middleware], _ handler: @escaping Handler) -> Handler {
    // Not by `reduce`: a function that passes a generic one comes back wrapped, and each wrap costs every request.
    var chained = handler
    for middleware in middlewares.reversed() { chained = middleware.wrapping(chained) }
    return chained
}
