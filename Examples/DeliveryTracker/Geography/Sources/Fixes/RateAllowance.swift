import FoundationEssentials

/// Limits the rate of reports by the generic cell rate algorithm (GCRA, ITU-T I.371): a token bucket that needs one time.
struct RateAllowance: Sendable {
    /// When the bucket is full again.
    private var full: Date?

    /// Whether a report may pass.
    mutating func take(at now: Date, limit: FixFilter.RateLimit) -> Bool {
        let interval = limit.period / Double(max(1, limit.count))
        // A server clock that was set back must not lock the device out for longer than the period.
        let start = min(max(full ?? now, now), now + limit.period)
        full = start
        guard start.timeIntervalSince(now) <= limit.period - interval + 1e-6 else { return false }
        full = start + interval
        return true
    }
}
