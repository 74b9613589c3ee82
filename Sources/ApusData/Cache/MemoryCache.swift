public import ApusCore
import Synchronization

/// A cache in the memory of this process, bounded in the number and the size of its values. If it is full, the values that
/// have not been used for longest give way.
public final class MemoryCache: Cache {
    public let options: CacheOptions
    public let flights = CacheFlights()

    private let clock: any WallClock
    private let state: Mutex<MemoryCacheState>

    /// Creates a cache.
    /// - Parameters:
    ///   - maximumValues: The maximum number of values. 10,000 by default.
    ///   - maximumBytes: The maximum size of all values and their names, in bytes, without overhead. 64 MiB by default.
    ///   - clock: The clock by which values expire.
    public init(
        maximumValues: Int = 10_000, maximumBytes: Int = 64 << 20, options: CacheOptions = CacheOptions(),
        clock: any WallClock = SystemClock()
    ) {
        self.options = options
        self.clock = clock
        state = Mutex(MemoryCacheState(maximumValues: max(1, maximumValues), maximumBytes: max(0, maximumBytes)))
    }

    public func lookUp(_ key: CacheKey) async -> CacheLookup {
        let now = clock.uptime
        return state.withLock { $0.lookUp(key, now: now) }
    }

    public func store(
        _ content: CacheContent, for key: CacheKey, ttl: Duration, ticket: CacheTicket, _ condition: CacheCondition
    ) async {
        let now = clock.uptime
        state.withLock { $0.store(content, for: key, until: now + ttl, ticket, condition, now: now) }
    }

    public func remove(storedFor key: CacheKey) async {
        let until = clock.uptime + options.removalLifetime
        state.withLock { $0.remove(key, until: until) }
    }

    public func remove(storedIn group: CacheGroupID) async { state.withLock { $0.remove(group.group) } }

    /// The number of values, including those that have expired and not been removed yet.
    package var count: Int { state.withLock { $0.count } }
}
