/// Keeps values for a limited time, in this process or, depending on the engine, for all processes.
///
/// ```swift
/// let user = try await cache.value(for: "users:\(id)", ttl: .seconds(60)) { try await users.get(id) }
/// …
/// await cache.remove("users:\(id)")
/// await cache.remove(prefix: "users:")
/// ```
///
/// - A value is loaded by one task at a time in a process; other tasks that need it wait for the same result.
/// - A cache never fails: if its engine cannot be reached, or a stored value cannot be decoded, the value is loaded.
/// - What is removed while it is being loaded is not stored: a value is never older than the last removal of its key or one
///   of its groups.
///
/// The requirements are for engines; use the methods that are defined in extensions.
public protocol Cache: Sendable {
    /// How long values are kept, and how they expire.
    var options: CacheOptions { get }

    /// The loads in progress.
    var flights: CacheFlights { get }

    /// Looks up a key.
    /// - Returns: What is stored, and the permission to store a value. Both are `nil` if the engine cannot be reached.
    func lookUp(_ key: CacheKey) async -> CacheLookup

    /// Stores a value, unless the key or one of its groups has been changed or removed since the lookup.
    /// - Parameter condition: Whether the key must be as the lookup found it. Removal of a group counts in any case.
    func store(
        _ content: CacheContent, for key: CacheKey, ttl: Duration, ticket: CacheTicket, _ condition: CacheCondition
    ) async

    /// Removes a key.
    func remove(storedFor key: CacheKey) async

    /// Removes all keys of a group.
    func remove(storedIn group: CacheGroupID) async
}

/// How a cache keeps values.
public struct CacheOptions: Sendable {
    /// How long values are kept if nothing else is said. 5 minutes by default.
    public var ttl: Duration
    /// How long it is kept that there is no value. 30 seconds by default.
    public var absentTTL: Duration
    /// By how much values may expire earlier, as a fraction of their time, so that values stored together do not expire
    /// together. 0.1 by default; values out of the range from 0 to 1 count as its bounds.
    public var jitter: Double
    /// The maximum duration of a load. 30 seconds by default.
    public var loadTimeout: Duration

    /// Creates options.
    public init(
        ttl: Duration = .seconds(300), absentTTL: Duration = .seconds(30), jitter: Double = 0.1,
        loadTimeout: Duration = .seconds(30)
    ) {
        self.ttl = ttl
        self.absentTTL = absentTTL
        self.jitter = jitter
        self.loadTimeout = loadTimeout
    }

    /// A time that is randomly shortened.
    package func jittered(_ ttl: Duration) -> Duration {
        // The property can be set to anything, and a range with a bound that is not a number traps.
        let jitter = jitter > 0 ? min(jitter, 1) : 0
        return ttl * (1 - .random(in: 0...jitter))
    }

    /// How long the mark of a removal is kept. Longer than any load that has begun before, with the time to look up and to
    /// store its value.
    package var removalLifetime: Duration { loadTimeout * 2 + .seconds(1) }
}

/// What is stored for a key.
public enum CacheContent: Sendable, Hashable {
    /// The bytes of a value.
    case value([UInt8])
    /// It is known that there is no value.
    case absent
}

/// The result of a lookup.
public struct CacheLookup: Sendable {
    /// What is stored; `nil` if nothing is.
    public let content: CacheContent?
    /// The permission to store a value; `nil` if the engine cannot be reached.
    public let ticket: CacheTicket?

    /// Creates a result.
    public init(content: CacheContent?, ticket: CacheTicket?) {
        self.content = content
        self.ticket = ticket
    }
}

/// The state of a key and its groups at the time of a lookup.
public struct CacheTicket: Sendable, Hashable {
    /// Identifies what was stored for the key; 0 if nothing was.
    package let version: UInt64
    /// The generations of the groups, in the order of the key's groups.
    package let generations: [UInt64]

    package init(version: UInt64, generations: [UInt64]) {
        self.version = version
        self.generations = generations
    }
}

/// When a value is stored.
public enum CacheCondition: Sendable, Hashable {
    /// If the key is as the lookup found it.
    case unchanged
    /// Whatever is stored.
    case always
}

/// Keys that are removed together.
public struct CacheGroupID: Sendable, Hashable {
    package let group: CacheGroup

    package init(_ group: CacheGroup) { self.group = group }
}
