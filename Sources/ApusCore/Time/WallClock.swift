public import FoundationEssentials

/// A clock for reading the time and sleeping. It is injected, so that tests can control it.
public protocol WallClock: Sendable {
    /// The current date. May jump when the system clock is set.
    var now: Date { get }
    /// The time since an arbitrary fixed point. Never jumps; it does not advance while the machine sleeps.
    var uptime: Duration { get }
    /// Suspends the task for a duration.
    /// - Throws: `CancellationError` if the task is cancelled while sleeping.
    func sleep(for duration: Duration) async throws
}

/// The system clock.
public struct SystemClock: WallClock {
    private static let start = SuspendingClock.now

    /// Creates the clock.
    public init() {}

    public var now: Date { Date() }

    public var uptime: Duration { Self.start.duration(to: .now) }

    public func sleep(for duration: Duration) async throws {
        try await Task.sleep(for: duration)
    }
}

extension Duration {
    /// The duration in seconds, including fractions.
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }

    /// The duration in whole microseconds, rounded towards zero and clamped to the range of `Int64`.
    package var microseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, productOverflows) = seconds.multipliedReportingOverflow(by: 1_000_000)
        let (sum, sumOverflows) = whole.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return productOverflows || sumOverflows ? (seconds < 0 ? .min : .max) : sum
    }
}
