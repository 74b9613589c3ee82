/// When a key expires.
public enum RedisTTL: Sendable, Hashable {
    /// The key does not exist.
    case missing
    /// The key does not expire.
    case never
    /// The remaining time.
    case remaining(Duration)
}

extension RedisCommands {
    /// Deletes keys.
    /// - Returns: The number of keys that existed.
    @discardableResult
    public func del(_ keys: String...) async throws -> Int { try await del(keys) }

    /// Deletes keys.
    @discardableResult
    public func del(_ keys: [String]) async throws -> Int {
        guard !keys.isEmpty else { return 0 }
        var command = RedisCommand("DEL")
        command.append(keys: keys)
        return try await send(command, as: Int.self)
    }

    /// Returns whether a key exists.
    public func exists(_ key: String) async throws -> Bool {
        var command = RedisCommand("EXISTS")
        command.append(key: key)
        return try await send(command, as: Int.self) > 0
    }

    /// Lets a key expire after a duration, rounded up to a millisecond, at least one.
    /// - Returns: Whether the key exists.
    @discardableResult
    public func expire(_ key: String, after duration: Duration) async throws -> Bool {
        var command = RedisCommand("PEXPIRE")
        command.append(key: key)
        command.append(duration.redisMilliseconds)
        return try await send(command, as: Bool.self)
    }

    /// Keeps a key from expiring.
    /// - Returns: Whether it would have expired.
    @discardableResult
    public func persist(_ key: String) async throws -> Bool {
        var command = RedisCommand("PERSIST")
        command.append(key: key)
        return try await send(command, as: Bool.self)
    }

    /// Returns when a key expires.
    public func ttl(_ key: String) async throws -> RedisTTL {
        var command = RedisCommand("PTTL")
        command.append(key: key)
        let milliseconds = try await send(command, as: Int.self)
        return switch milliseconds {
        case -2: .missing
        case -1: .never
        default: .remaining(.milliseconds(milliseconds))
        }
    }
}

extension Duration {
    /// The duration in milliseconds, rounded up, from 1 to 100 years: Redis refuses an expiry of 0 and overflows beyond its
    /// range.
    var redisMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let limit: Int64 = 100 * 365 * 86_400
        guard seconds < limit else { return limit * 1000 }
        guard seconds >= 0, attoseconds >= 0 else { return 1 }
        return max(1, seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
