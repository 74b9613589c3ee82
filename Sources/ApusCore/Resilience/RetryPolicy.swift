import Synchronization

/// How often something is tried again, and how long one waits before that: exponentially longer, and at random, so that
/// those who failed together do not come back together.
public struct RetryPolicy: Sendable {
    /// The most attempts, the first one included. 3.
    public var maximumAttempts: Int
    /// The longest wait before the second attempt; it doubles from attempt to attempt. 100 milliseconds.
    public var baseDelay: Duration
    /// The longest wait of all. 5 seconds.
    public var maximumDelay: Duration

    public init(
        maximumAttempts: Int = 3, baseDelay: Duration = .milliseconds(100), maximumDelay: Duration = .seconds(5)
    ) {
        self.maximumAttempts = max(1, maximumAttempts)
        self.baseDelay = baseDelay
        self.maximumDelay = maximumDelay
    }

    /// Nothing is tried again.
    public static let never = RetryPolicy(maximumAttempts: 1)

    /// A wait at random from nothing to the longest ("full jitter").
    /// - Parameters:
    ///   - attempt: How many were made, from 1 on.
    ///   - random: From 0 to 1.
    package func delay(after attempt: Int, random: Double = .random(in: 0...1)) -> Duration {
        var longest = baseDelay
        for _ in 1..<max(1, min(attempt, 32)) where longest < maximumDelay { longest += longest }
        return min(longest, maximumDelay) * random
    }
}

/// How many retries all calls together may make: a part of the calls, so that what is overloaded is not asked many times as
/// often for it.
public final class RetryBudget: Sendable {
    private let tokens: Mutex<Double>
    private let ratio: Double
    private let capacity: Double

    /// - Parameters:
    ///   - ratio: Retries for each call. 0.1.
    ///   - capacity: Retries that may be saved up; all of them are there at the start. 20.
    public init(ratio: Double = 0.1, capacity: Int = 20) {
        self.ratio = ratio
        self.capacity = Double(capacity)
        tokens = Mutex(Double(capacity))
    }

    /// A call is made.
    package func deposit() { tokens.withLock { $0 = min(capacity, $0 + ratio) } }

    /// - Returns: Whether one more retry may be made.
    package func withdraw() -> Bool {
        tokens.withLock { tokens in
            guard tokens >= 1 else { return false }
            tokens -= 1
            return true
        }
    }
}
