import ApusCore

/// Limits the time for requests. The limit can only shorten the server's deadline, not extend it.
///
/// After the deadline, the handler is cancelled and the client receives 504.
public struct Timeout: Middleware {
    private let limit: Duration

    /// Creates the middleware.
    /// - Parameter limit: The maximum time from this middleware to the response.
    public init(_ limit: Duration) { self.limit = limit }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        // The handler is awaited before this returns, so it does not escape; the compiler cannot see that.
        try await withoutActuallyEscaping(next) { next in
            try await withDeadline(.after(limit)) { await next(request) }
        }
    }
}

extension Middleware where Self == Timeout {
    /// Limits the time for a request. The limit can only shorten the server's.
    public static func timeout(_ limit: Duration) -> Timeout { Timeout(limit) }
}
