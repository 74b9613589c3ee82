/// Counts what someone does, and says when it is too much.
public protocol RateLimiter: Sendable {
    /// Takes one from what a key may do.
    /// - Parameter key: Who does what, such as `login:10.0.0.1`.
    func take(_ key: String, limit: RateLimitPolicy) async throws -> RateLimitDecision
}

/// So many in so long, in bursts as large as the whole.
public struct RateLimitPolicy: Sendable, Hashable {
    /// How many.
    public let count: Int
    /// In how long.
    public let period: Duration

    /// - Parameters:
    ///   - count: From 1 to a billion; what is outside is moved to the nearest.
    ///   - period: At least a nanosecond for each of them; less is raised to that.
    public init(_ count: Int, per period: Duration) {
        self.count = min(max(1, count), 1_000_000_000)
        self.period = max(period, .nanoseconds(self.count))
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
