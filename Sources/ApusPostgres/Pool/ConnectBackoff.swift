import ApusCore
import NIOCore

/// When a pool may open a connection. After a failure, one attempt at a time, with growing delays between them: a server
/// that is overloaded, or has just started, is not flooded by everybody who waits for it.
struct ConnectBackoff {
    private static let policy = RetryPolicy(
        maximumAttempts: .max, baseDelay: .milliseconds(20), maximumDelay: .milliseconds(500))

    /// How many attempts in a row have failed.
    private(set) var failures = 0
    /// When the next attempt may begin.
    private(set) var next = NIODeadline.uptimeNanoseconds(0)

    /// - Parameter connecting: How many attempts are under way.
    func allows(now: NIODeadline, connecting: Int) -> Bool { failures == 0 || connecting == 0 && now >= next }

    mutating func succeeded() { failures = 0 }

    /// - Parameter random: A random number from 0 to 1.
    mutating func failed(now: NIODeadline, random: Double = .random(in: 0...1)) {
        // Attempts that were begun together count as one.
        guard failures == 0 || now >= next else { return }
        failures += 1
        next = now + TimeAmount(Self.policy.delay(after: failures, random: random))
    }
}
