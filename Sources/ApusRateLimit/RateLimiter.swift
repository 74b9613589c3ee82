/// Counts what someone does, and says when it is too much.
public protocol RateLimiter: Sendable {
    /// Takes one from what a key may do.
    /// - Parameter key: Who does what, such as `login:10.0.0.1`.
    func take(_ key: String, limit: RateLimitPolicy) async throws -> RateLimitDecision
}

/// So many in so long, in bursts as large as the whole.
public struct RateLimitPolicy: Sendable, Hashable {
    /// How many. At least 1.
    public let count: Int
    /// In how long.
    public let period: Duration

    public init(_ count: Int, per period: Duration) {
        self.count = max(1, count)
        self.period = period
    }
}

/// Whether one more is allowed, and what is left.
public struct RateLimitDecision: Sendable, Equatable {
    /// Whether it may go on.
    public let isAllowed: Bool
    /// How many more would be allowed now.
    public let remaining: Int
    /// When everything is allowed again.
    public let resetAfter: Duration
    /// When to try again; zero if it is allowed.
    public let retryAfter: Duration

    public init(isAllowed: Bool, remaining: Int, resetAfter: Duration, retryAfter: Duration) {
        self.isAllowed = isAllowed
        self.remaining = remaining
        self.resetAfter = resetAfter
        self.retryAfter = retryAfter
    }
}
