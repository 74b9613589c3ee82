extension RedisCommands {
    /// Inserts values at the head of a list, one after the other.
    /// - Returns: The length of the list.
    @discardableResult
    public func lpush(_ key: String, _ values: [some RedisEncodable]) async throws -> Int {
        try await push("LPUSH", key, values)
    }

    /// Appends values to a list.
    /// - Returns: The length of the list.
    @discardableResult
    public func rpush(_ key: String, _ values: [some RedisEncodable]) async throws -> Int {
        try await push("RPUSH", key, values)
    }

    private func push(_ name: StaticString, _ key: String, _ values: [some RedisEncodable]) async throws -> Int {
        guard !values.isEmpty else { return try await llen(key) }
        var command = RedisCommand(name)
        command.append(key: key)
        for value in values { value.encode(into: &command) }
        return try await send(command, as: Int.self)
    }

    /// Removes and returns the first element of a list, or `nil` if it is empty. ``RedisClient/blpop(_:timeout:as:)`` waits
    /// for one.
    public func lpop<Value: RedisDecodable>(_ key: String, as type: Value.Type = String.self) async throws -> Value? {
        var command = RedisCommand("LPOP")
        command.append(key: key)
        return try await send(command, as: Value?.self)
    }

    /// Removes and returns the last element of a list, or `nil` if it is empty.
    public func rpop<Value: RedisDecodable>(_ key: String, as type: Value.Type = String.self) async throws -> Value? {
        var command = RedisCommand("RPOP")
        command.append(key: key)
        return try await send(command, as: Value?.self)
    }

    /// Returns the elements of a list between two indices, inclusive; the whole list by default. Negative indices count
    /// from the end: -1 is the last element.
    public func lrange<Value: RedisDecodable>(
        _ key: String, from first: Int = 0, to last: Int = -1, as type: Value.Type = String.self
    ) async throws -> [Value] {
        var command = RedisCommand("LRANGE")
        command.append(key: key)
        command.append(first)
        command.append(last)
        return try await send(command, as: [Value].self)
    }

    /// Returns the length of a list; 0 if it does not exist.
    public func llen(_ key: String) async throws -> Int {
        var command = RedisCommand("LLEN")
        command.append(key: key)
        return try await send(command, as: Int.self)
    }

    /// Removes all elements of a list but those between two indices.
    public func ltrim(_ key: String, from first: Int, to last: Int) async throws {
        var command = RedisCommand("LTRIM")
        command.append(key: key)
        command.append(first)
        command.append(last)
        _ = try await send(command)
    }
}

extension RedisClient {
    /// Removes and returns the first element of a list, and waits for one if it is empty. See ``blocking(_:)``.
    /// - Parameter timeout: The maximum time to wait. Without one, until the task's deadline.
    /// - Returns: `nil` if the time has passed.
    public func blpop<Value: RedisDecodable>(
        _ key: String, timeout: Duration? = nil, as type: Value.Type = String.self
    ) async throws -> Value? {
        var command = RedisCommand("BLPOP")
        command.append(key: key)
        // 0 means for ever.
        command.append(timeout.map { Double($0.redisMilliseconds) / 1000 } ?? 0)
        // The reply is the key and the element.
        let reply = try await blocking(command)
        guard let elements = reply.elements, elements.count == 2 else { return nil }
        return try Value(redis: elements[1])
    }
}
