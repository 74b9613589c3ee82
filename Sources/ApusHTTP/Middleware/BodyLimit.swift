/// Limits the size of request bodies in a group, instead of the server's default. A route's own `bodyLimit` takes
/// precedence.
public struct BodyLimit: Middleware {
    private let bytes: Int

    /// Creates the middleware.
    /// - Parameter bytes: The maximum size of a body, in bytes.
    public init(_ bytes: Int) { self.bytes = bytes }

    public func handle(_ request: Request, next: Next) async -> Response {
        guard !request.body.isRouteLimit else { return await next(request) }
        var request = request
        request.body.limit = bytes
        return await next(request)
    }
}

extension Middleware where Self == BodyLimit {
    /// Sets the maximum size of a request body, in bytes, instead of the server's default.
    public static func bodyLimit(_ bytes: Int) -> BodyLimit { BodyLimit(bytes) }
}
