/// Other limits for the bodies of a group's requests than the server's default. A route's own `bodyLimit` counts more.
public struct BodyLimit: Middleware {
    private let bytes: Int

    public init(_ bytes: Int) { self.bytes = bytes }

    public func handle(_ request: Request, next: Next) async -> Response {
        guard !request.body.isLimitOfRoute else { return await next(request) }
        var request = request
        request.body.limit = bytes
        return await next(request)
    }
}

extension Middleware where Self == BodyLimit {
    /// The most bytes that a body may have.
    public static func bodyLimit(_ bytes: Int) -> BodyLimit { BodyLimit(bytes) }
}
