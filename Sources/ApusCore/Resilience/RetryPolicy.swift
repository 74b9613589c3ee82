import Synchronization

/// The number of attempts and the delays between them: exponential backoff with jitter, so that clients that failed
/// together do not retry together.
public struct RetryPolicy: Sendable {
    /// The maximum number of attempts, including the first one. 3 by default.
    public var maximumAttempts: Int
    /// The upper bound of the delay before the second attempt; it doubles with each attempt. 100 milliseconds by
    /// default.
    public var baseDelay: Duration
    /// The upper bound of all delays. 5 seconds by default.
    public var maximumDelay: Duration

    public init(
        maximumAttempts: Int = 3, baseDelay: Duration = .milliseconds(100), maximumDelay: Duration = .seconds(5)
    ) {
        self.maximumAttempts = max(1, maximumAttempts)
        self.baseDelay = baseDelay
        self.maximumDelay = maximumDelay
    }

    /// A policy without retries.
    public static let never = RetryPolicy(maximumAttempts: 1)

    /// Returns a random delay between zero and the upper bound of the attempt ("full jitter").
    /// - Parameters:
    ///   - attempt: The number of attempts made so far, at least 1.
    ///   - random: A random number from 0 to 1.
    package func delay(after attempt: Int, random: Double = .random(in: 0...1)) -> Duration {
        var upperBound = baseDelay
        for _ in 1..<max(1, min(attempt, 32)) where upperBound < maximumDelay { upperBound += upperBound }
        return min(upperBound, maximumDelay) * random
    }
}

/// A limit on the retries of all calls together, as a fraction of the calls, so that retries do not multiply the load
/// on an overloaded dependency.
public final class RetryBudget: Sendable {
    private let tokens: Mutex<Double>
    private let ratio: Double
    private let capacity: Double

    /// Creates a budget, filled to its capacity.
    /// - Parameters:
    ///   - ratio: The number of retries that each call adds to the budget. 0.1 by default.
    ///   - capacity: The maximum number of retries that the budget can hold. 20 by default.
    public init(ratio: Double = 0.1, capacity: Int = 20) {
        self.ratio = ratio
        self.capacity = Double(capacity)
        tokens = Mutex(Double(capacity))
    }

    /// Adds the share of one call to the budget.
    package func deposit() { tokens.withLock { $0 = min(capacity, $0 + ratio) } }

    /// Takes one retry from the budget.
    /// - Returns: Whether the retry may be made.
    package func withdraw() -> Bool {
        tokens.withLock { tokens in
            guard tokens >= 1 else { return false }
            tokens -= 1
            return true
        }
    }
}
