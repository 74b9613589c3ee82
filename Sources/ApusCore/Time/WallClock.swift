public import FoundationEssentials

/// Where a service reads the time and waits: injected, so that tests turn it by hand.
public protocol WallClock: Sendable {
    /// The date of the moment. May jump when the machine's clock is set.
    var now: Date { get }
    /// Time since some fixed point. Never jumps.
    var uptime: Duration { get }
    /// Waits so long.
    /// - Throws: `CancellationError` when the task is cancelled meanwhile.
    func sleep(for duration: Duration) async throws
}

/// The machine's own clock.
public struct SystemClock: WallClock {
    private static let start = ContinuousClock.now

    public init() {}

    public var now: Date { Date() }

    public var uptime: Duration { Self.start.duration(to: .now) }

    public func sleep(for duration: Duration) async throws {
        try await Task.sleep(for: duration)
    }
}

extension Duration {
    /// The same length as a number of seconds, fractions included.
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }

    /// Whole microseconds, rounded towards zero; as many as fit.
    package var microseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000)
        let (sum, isOver) = whole.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return overflows || isOver ? (seconds < 0 ? .min : .max) : sum
    }
}
