import ApusRateLimit

/// The generic cell rate algorithm as a script: one atomic step, by the server's clock.
///
/// The state of a key is its theoretical arrival time, at which its full quota is available again: seconds and
/// microseconds apart, because their sum in microseconds would leave a double no digits for high rates. The key expires at
/// that time. A refused request changes nothing.
enum RateLimitScript {
    /// `KEYS[1]`: the key. `ARGV`: the period in microseconds, and the number of requests in it.
    ///
    /// Returns whether the request is allowed, how many more are, and the microseconds until the full quota and until the
    /// next request.
    ///
    /// A thousandth of an interval is forgiven, so that the sum of rounded intervals does not exceed the period.
    static let script = RedisScript(
        """
        local time = redis.call('TIME')
        local seconds, fraction = tonumber(time[1]), tonumber(time[2])
        local period, count = tonumber(ARGV[1]), tonumber(ARGV[2])
        local interval = period / count
        local ahead = 0
        local stored = redis.call('GET', KEYS[1])
        if stored then
            local s, f = string.match(stored, '^(%d+) (.+)$')
            if s then ahead = math.max(0, (tonumber(s) - seconds) * 1000000 + tonumber(f) - fraction) end
        end
        local after = ahead + interval
        local excess = after - period
        if excess > interval / 1000 then
            return {0, 0, math.ceil(ahead), math.ceil(excess)}
        end
        local s, f = seconds, fraction + after
        local whole = math.floor(f / 1000000)
        s, f = s + whole, f - whole * 1000000
        local ttl = math.max(1, math.ceil(after / 1000))
        redis.call('SET', KEYS[1], string.format('%.0f %.17g', s, f), 'PX', string.format('%.0f', ttl))
        return {1, math.floor((period - after) / interval + 0.001), math.ceil(after), 0}
        """)

    /// Longer periods count as ten years, so that times fit the numbers of a script.
    private static let maximumPeriod = Duration.seconds(10 * 366 * 86_400)

    /// The arguments for a policy.
    static func arguments(_ policy: RateLimitPolicy) -> [any RedisEncodable] {
        let period = min(policy.period, maximumPeriod)
        let (seconds, attoseconds) = period.components
        let microseconds = Double(seconds) * 1e6 + Double(attoseconds) / 1e12
        return ["\(microseconds)", policy.count]
    }

    /// - Throws: An error if the reply is none of the script.
    static func decision(_ reply: RedisValue) throws -> RateLimitDecision {
        let numbers = try [Int](redis: reply)
        guard numbers.count == 4 else { throw RedisError(code: "ERR", message: "unexpected reply of a script") }
        return RateLimitDecision(
            isAllowed: numbers[0] == 1, remaining: max(0, numbers[1]), resetAfter: .microseconds(numbers[2]),
            retryAfter: .microseconds(numbers[3]))
    }
}
