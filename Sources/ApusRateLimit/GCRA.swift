/// The generic cell rate algorithm: one moment per key says everything.
///
/// That moment is the theoretical arrival time: when the key will have regained all that it may do. Each request moves it
/// on by one emission interval; it may lie one period ahead and no further.
enum GCRA {
    /// - Parameters:
    ///   - arrival: The key's theoretical arrival time; `nil` for one that is new.
    ///   - now: On the same clock.
    /// - Returns: The decision, and the arrival time from now on.
    static func take(
        _ arrival: Duration?, now: Duration, limit: RateLimitPolicy
    ) -> (decision: RateLimitDecision, arrival: Duration) {
        let interval = limit.period / limit.count
        let current = max(arrival ?? now, now)
        let next = current + interval
        let ahead = next - now
        guard ahead <= limit.period else {
            let decision = RateLimitDecision(
                isAllowed: false, remaining: 0, resetAfter: current - now, retryAfter: ahead - limit.period)
            return (decision, current)
        }
        let remaining = Int((limit.period - ahead) / interval)
        let decision = RateLimitDecision(isAllowed: true, remaining: remaining, resetAfter: ahead, retryAfter: .zero)
        return (decision, next)
    }
}
