import ApusCore
import NIOCore

/// The delays between attempts to connect. They grow with the attempts that fail in a row; a connection that ends soon
/// after it has become ready counts as one, so that a server that closes or refuses each connection is not flooded.
struct ReconnectDelay {
    private let policy: RetryPolicy
    /// The attempts that failed in a row.
    private(set) var failures = 0

    /// A connection that lives longer than this was a good one.
    private static let shortLife = TimeAmount.seconds(1)

    init(_ policy: RetryPolicy) { self.policy = policy }

    /// Notes that an attempt has failed.
    mutating func failed() { failures += 1 }

    /// Notes that a connection has ended or accepts no more commands.
    mutating func ended(readyAt: NIODeadline?, now: NIODeadline = .now()) {
        if let readyAt, now - readyAt >= Self.shortLife { failures = 0 }
        failures += 1
    }

    /// The delay before the next attempt.
    var next: TimeAmount { TimeAmount(policy.delay(after: max(1, failures))) }
}
