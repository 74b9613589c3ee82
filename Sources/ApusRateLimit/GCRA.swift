/// The generic cell rate algorithm, whose only state is one instant per key.
///
/// This instant is the theoretical arrival time, at which the full quota of the key is available again. Each request
/// advances it by one emission interval; it may be at most one period in the future.
enum GCRA {
    /// Decides on a request.
    /// - Parameters:
    ///   - arrival: The theoretical arrival time of the key, or `nil` for a new key.
    ///   - now: The current time on the same clock.
    ///   - limit: The policy.
    /// - Returns: The decision and the new theoretical arrival time.
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
        // The quotient is a rounded number, which may be a little less than the whole number that it stands for.
        let remaining = Int((limit.period - ahead) / interval + 0.001)
        let decision = RateLimitDecision(isAllowed: true, remaining: remaining, resetAfter: ahead, retryAfter: .zero)
        return (decision, next)
    }
}
