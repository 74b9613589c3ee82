/// Counts requests by key and limits their rate.
public protocol RateLimiter: Sendable {
    /// Takes one request from the quota of a key.
    /// - Parameters:
    ///   - key: The operation and the caller, such as `login:10.0.0.1`.
    ///   - limit: The policy.
    func take(_ key: String, limit: RateLimitPolicy) async throws -> RateLimitDecision
}

/// A number of requests in a period. The full number may be used in one burst.
public struct RateLimitPolicy: Sendable, Hashable {
    /// The number of requests.
    public let count: Int
    /// The period.
    public let period: Duration

    /// Creates a policy.
    /// - Parameters:
    ///   - count: The number of requests, clamped to the range from 1 to a billion.
    ///   - period: The period, at least one nanosecond per request. Shorter periods are raised to that.
    public init(_ count: Int, per period: Duration) {
        self.count = min(max(1, count), 1_000_000_000)
        self.period = max(period, .nanoseconds(self.count))
    }
}

/// The decision on a request and the remaining quota.
public struct RateLimitDecision: Sendable, Equatable {
    /// Whether the request is allowed.
    public let isAllowed: Bool
    /// The number of further requests that are currently allowed.
    public let remaining: Int
    /// The time until the full quota is available again.
    public let resetAfter: Duration
    /// The time until the next request is allowed; zero if this one is allowed.
    public let retryAfter: Duration

    /// Creates a decision.
    public init(isAllowed: Bool, remaining: Int, resetAfter: Duration, retryAfter: Duration) {
        self.isAllowed = isAllowed
        self.remaining = remaining
        self.resetAfter = resetAfter
        self.retryAfter = retryAfter
    }
}
