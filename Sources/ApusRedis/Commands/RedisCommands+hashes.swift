extension RedisCommands {
    /// Returns the text of a field of a hash, or `nil` if it does not exist.
    public func hget(_ key: String, _ field: String) async throws -> String? {
        try await hget(key, field, as: String.self)
    }

    /// Returns the value of a field of a hash, or `nil` if it does not exist.
    public func hget<Value: RedisDecodable>(
        _ key: String, _ field: String, as type: Value.Type
    ) async throws -> Value? {
        var command = RedisCommand("HGET")
        command.append(key: key)
        command.append(field)
        return try await send(command, as: Value?.self)
    }

    /// Sets fields of a hash.
    /// - Returns: The number of fields that are new.
    @discardableResult
    public func hset(_ key: String, _ fields: [String: some RedisEncodable]) async throws -> Int {
        guard !fields.isEmpty else { return 0 }
        var command = RedisCommand("HSET")
        command.append(key: key)
        for (field, value) in fields {
            command.append(field)
            value.encode(into: &command)
        }
        return try await send(command, as: Int.self)
    }

    /// Returns all fields of a hash; none if it does not exist.
    public func hgetall(_ key: String) async throws -> [String: String] {
        var command = RedisCommand("HGETALL")
        command.append(key: key)
        return try await send(command, as: [String: String].self)
    }

    /// Deletes fields of a hash.
    /// - Returns: The number of fields that existed.
    @discardableResult
    public func hdel(_ key: String, _ fields: String...) async throws -> Int {
        guard !fields.isEmpty else { return 0 }
        var command = RedisCommand("HDEL")
        command.append(key: key)
        for field in fields { command.append(field) }
        return try await send(command, as: Int.self)
    }

    /// Adds to an integer in a hash. A field that does not exist counts as 0.
    /// - Returns: The sum.
    @discardableResult
    public func hincrby(_ key: String, _ field: String, by increment: Int = 1) async throws -> Int {
        var command = RedisCommand("HINCRBY")
        command.append(key: key)
        command.append(field)
        command.append(increment)
        return try await send(command, as: Int.self)
    }
}
