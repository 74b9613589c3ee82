import ApusCore

/// Gives the requests behind it less time than the server would: the deadline is lowered, never raised.
///
/// Past it the handler is cancelled and the client receives 504.
public struct Timeout: Middleware {
    private let limit: Duration

    /// - Parameter limit: The time from here to the response.
    public init(_ limit: Duration) { self.limit = limit }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        // The handler is awaited before this returns, so it does not escape; the compiler cannot see that.
        try await withoutActuallyEscaping(next) { next in
            try await withDeadline(.after(limit)) { await next(request) }
        }
    }
}

extension Middleware where Self == Timeout {
    /// Less time than the server would give.
    public static func timeout(_ limit: Duration) -> Timeout { Timeout(limit) }
}
