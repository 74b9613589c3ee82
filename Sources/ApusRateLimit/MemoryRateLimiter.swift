public import ApusCore
import Synchronization

/// A limiter in the memory of this process. Bounded: when there are too many keys, those nearest to being forgotten anyway
/// are forgotten first.
public final class MemoryRateLimiter: RateLimiter {
    private final class Shard: Sendable {
        let arrivals = Mutex<[ExactString: Duration]>([:])
    }

    private let shards: [Shard]
    private let keysPerShard: Int
    private let clock: any WallClock

    /// - Parameter maxKeys: The most keys to remember. 100,000.
    public init(maxKeys: Int = 100_000, clock: any WallClock = SystemClock()) {
        self.clock = clock
        shards = (0..<16).map { _ in Shard() }
        keysPerShard = max(16, maxKeys / 16)
    }

    public func take(_ key: String, limit: RateLimitPolicy) -> RateLimitDecision {
        let (key, now) = (ExactString(key), clock.uptime)
        let shard = shards[key.hashValue & 15]
        return shard.arrivals.withLock { arrivals in
            let (decision, arrival) = GCRA.take(arrivals[key], now: now, limit: limit)
            if arrivals[key] == nil && arrivals.count >= keysPerShard { Self.forget(&arrivals, now, keysPerShard) }
            arrivals[key] = arrival
            return decision
        }
    }

    private static func forget(_ arrivals: inout [ExactString: Duration], _ now: Duration, _ limit: Int) {
        arrivals = arrivals.filter { $0.value > now }
        guard arrivals.count >= limit else { return }
        let kept = arrivals.sorted { $0.value > $1.value }.prefix(limit * 9 / 10)
        arrivals = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }
}
