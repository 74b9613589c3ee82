public import ApusCore
import Synchronization

/// A rate limiter in the memory of this process. The number of keys is bounded: if there are too many, the keys that
/// would expire next are evicted.
public final class MemoryRateLimiter: RateLimiter {
    private final class Shard: Sendable {
        /// The theoretical arrival times by key.
        let arrivals = Mutex<[ExactString: Duration]>([:])
    }

    private let shards: [Shard]
    private let keysPerShard: Int
    private let clock: any WallClock

    /// Creates a limiter.
    /// - Parameters:
    ///   - maximumKeys: The maximum number of keys. 100,000 by default.
    ///   - clock: The clock that periods are measured with.
    public init(maximumKeys: Int = 100_000, clock: any WallClock = SystemClock()) {
        self.clock = clock
        shards = (0..<16).map { _ in Shard() }
        keysPerShard = max(16, maximumKeys / 16)
    }

    public func take(_ key: String, limit: RateLimitPolicy) -> RateLimitDecision {
        let (key, now) = (ExactString(key), clock.uptime)
        let shard = shards[key.hashValue & 15]
        return shard.arrivals.withLock { arrivals in
            let (decision, arrival) = GCRA.take(arrivals[key], now: now, limit: limit)
            if arrivals[key] == nil && arrivals.count >= keysPerShard { Self.evict(&arrivals, now, keysPerShard) }
            arrivals[key] = arrival
            return decision
        }
    }

    /// Removes expired keys and, if these are too few, the keys that expire next.
    private static func evict(_ arrivals: inout [ExactString: Duration], _ now: Duration, _ limit: Int) {
        arrivals = arrivals.filter { $0.value > now }
        guard arrivals.count >= limit else { return }
        let retained = arrivals.sorted { $0.value > $1.value }.prefix(limit * 9 / 10)
        arrivals = Dictionary(uniqueKeysWithValues: retained.map { ($0.key, $0.value) })
    }
}
