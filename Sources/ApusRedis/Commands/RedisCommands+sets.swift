extension RedisCommands {
    /// Adds members to a set.
    /// - Returns: The number of members that are new.
    @discardableResult
    public func sadd(_ key: String, _ members: [some RedisEncodable]) async throws -> Int {
        guard !members.isEmpty else { return 0 }
        var command = RedisCommand("SADD")
        command.append(key: key)
        for member in members { member.encode(into: &command) }
        return try await send(command, as: Int.self)
    }

    /// Removes members of a set.
    /// - Returns: The number of members that existed.
    @discardableResult
    public func srem(_ key: String, _ members: [some RedisEncodable]) async throws -> Int {
        guard !members.isEmpty else { return 0 }
        var command = RedisCommand("SREM")
        command.append(key: key)
        for member in members { member.encode(into: &command) }
        return try await send(command, as: Int.self)
    }

    /// Returns the members of a set; none if it does not exist.
    public func smembers(_ key: String) async throws -> [String] {
        var command = RedisCommand("SMEMBERS")
        command.append(key: key)
        return try await send(command, as: [String].self)
    }

    /// Returns whether a set has a member.
    public func sismember(_ key: String, _ member: some RedisEncodable) async throws -> Bool {
        var command = RedisCommand("SISMEMBER")
        command.append(key: key)
        member.encode(into: &command)
        return try await send(command, as: Bool.self)
    }
}
