package import FoundationEssentials

/// What the lags of reports say about a device's clock.
///
/// The lag of a report is the delay on its way, which is never negative, plus the time by which the device's clock is
/// behind. The least lag of many reports is near the latter. It is stated, not corrected: a device whose reports all come
/// late has a great least lag, too.
package struct DeviceClock: Sendable {
    /// How long a lag is remembered for at least, in seconds; at most, for twice as long.
    private static let window: TimeInterval = 600

    private var leastBefore: TimeInterval?
    private var least: TimeInterval?
    private var windowStart: Date?

    /// An estimate of the time by which the device's clock is behind the server's in seconds, negative if it is ahead, or
    /// `nil` before the first report.
    package var offset: TimeInterval? {
        [leastBefore, least].compactMap { $0 }.min()
    }

    /// Whether the clock seems to be wrong by more than a time in seconds.
    package func isOff(by tolerance: TimeInterval = 10) -> Bool {
        offset.map { abs($0) > tolerance } ?? false
    }

    mutating func note(lag: TimeInterval, at now: Date) {
        guard lag.isFinite else { return }
        let age = windowStart.map { now.timeIntervalSince($0) } ?? .infinity
        // Also when the server's clock was set back.
        if age >= Self.window || age < 0 {
            leastBefore = age < 2 * Self.window ? least : nil
            (least, windowStart) = (lag, now)
        } else {
            least = min(least ?? lag, lag)
        }
    }
}
