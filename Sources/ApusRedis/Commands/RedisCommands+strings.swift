public import NIOCore

/// When a key expires.
public enum RedisExpiration: Sendable, Hashable {
    /// After a duration, rounded up to a millisecond, at least one.
    case after(Duration)
    /// Whenever it would have expired before. Without one, it does not expire.
    case keep
    /// Never.
    case never
}

/// Under which condition `SET` sets a key.
public enum RedisSetCondition: Sendable, Hashable {
    case always
    /// Only if the key does not exist.
    case ifAbsent
    /// Only if the key exists.
    case ifPresent
}

extension RedisCommands {
    /// Returns the text of a key, or `nil` if it does not exist.
    /// - Throws: The errors of ``send(_:)``; an `AppError` with code `internal` if the value is not UTF-8.
    public func get(_ key: String) async throws -> String? {
        let reply = try await send(Self.getCommand(key))
        if case .null = reply { return nil }
        return try String(redis: reply)
    }

    /// Returns the bytes of a key, or `nil` if it does not exist.
    public func getBytes(_ key: String) async throws -> ByteBuffer? {
        let reply = try await send(Self.getCommand(key))
        if case .null = reply { return nil }
        return try ByteBuffer(redis: reply)
    }

    /// Returns the value of a key, or `nil` if it does not exist.
    public func get<Value: RedisDecodable>(_ key: String, as type: Value.Type) async throws -> Value? {
        try await send(Self.getCommand(key), as: Value?.self)
    }

    private static func getCommand(_ key: String) -> RedisCommand {
        var command = RedisCommand("GET")
        command.append(key: key)
        return command
    }

    /// Sets a key to a string.
    /// - Parameters:
    ///   - expiration: When the key expires. Never by default.
    ///   - condition: Under which condition the key is set. Always by default.
    /// - Returns: Whether the key was set.
    @discardableResult
    public func set(
        _ key: String, _ value: some RedisEncodable, expiring expiration: RedisExpiration = .never,
        _ condition: RedisSetCondition = .always
    ) async throws -> Bool {
        var command = RedisCommand("SET")
        command.append(key: key)
        value.encode(into: &command)
        switch expiration {
        case .after(let duration):
            command.append("PX")
            command.append(duration.redisMilliseconds)
        case .keep: command.append("KEEPTTL")
        case .never: break
        }
        switch condition {
        case .always: break
        case .ifAbsent: command.append("NX")
        case .ifPresent: command.append("XX")
        }
        if case .null = try await send(command) { return false }
        return true
    }

    /// Returns the texts of several keys, `nil` for those that do not exist.
    public func mget(_ keys: [String]) async throws -> [String?] { try await mget(keys, as: String.self) }

    /// Returns the values of several keys, `nil` for those that do not exist or are not strings.
    public func mget<Value: RedisDecodable>(_ keys: [String], as type: Value.Type) async throws -> [Value?] {
        guard !keys.isEmpty else { return [] }
        var command = RedisCommand("MGET")
        command.append(keys: keys)
        return try await send(command, as: [Value?].self)
    }

    /// Sets several keys at once.
    public func mset(_ values: [(key: String, value: some RedisEncodable)]) async throws {
        guard !values.isEmpty else { return }
        var command = RedisCommand("MSET")
        for (key, value) in values {
            command.append(key: key)
            value.encode(into: &command)
        }
        _ = try await send(command)
    }

    /// Adds to an integer. A key that does not exist counts as 0.
    /// - Returns: The sum.
    @discardableResult
    public func incr(_ key: String, by increment: Int = 1) async throws -> Int {
        var command = RedisCommand("INCRBY")
        command.append(key: key)
        command.append(increment)
        return try await send(command, as: Int.self)
    }
}
