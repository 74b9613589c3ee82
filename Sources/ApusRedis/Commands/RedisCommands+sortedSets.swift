extension RedisCommands {
    /// Adds members to a sorted set, or changes their scores.
    /// - Returns: The number of members that are new.
    @discardableResult
    public func zadd(_ key: String, _ members: [(member: String, score: Double)]) async throws -> Int {
        guard !members.isEmpty else { return 0 }
        var command = RedisCommand("ZADD")
        command.append(key: key)
        for (member, score) in members {
            command.append(score)
            command.append(member)
        }
        return try await send(command, as: Int.self)
    }

    /// Returns the score of a member, or `nil` if it does not exist.
    public func zscore(_ key: String, _ member: String) async throws -> Double? {
        var command = RedisCommand("ZSCORE")
        command.append(key: key)
        command.append(member)
        return try await send(command, as: Double?.self)
    }

    /// Adds to the score of a member. A member that does not exist counts as 0.
    /// - Returns: The sum.
    @discardableResult
    public func zincrby(_ key: String, _ member: String, by increment: Double) async throws -> Double {
        var command = RedisCommand("ZINCRBY")
        command.append(key: key)
        command.append(increment)
        command.append(member)
        return try await send(command, as: Double.self)
    }

    /// Removes members.
    /// - Returns: The number of members that existed.
    @discardableResult
    public func zrem(_ key: String, _ members: String...) async throws -> Int {
        guard !members.isEmpty else { return 0 }
        var command = RedisCommand("ZREM")
        command.append(key: key)
        for member in members { command.append(member) }
        return try await send(command, as: Int.self)
    }

    /// Returns the number of members; 0 if the set does not exist.
    public func zcard(_ key: String) async throws -> Int {
        var command = RedisCommand("ZCARD")
        command.append(key: key)
        return try await send(command, as: Int.self)
    }

    /// Returns the members between two ranks, inclusive, by increasing score. Negative ranks count from the end.
    public func zrange(_ key: String, from first: Int = 0, to last: Int = -1) async throws -> [String] {
        var command = RedisCommand("ZRANGE")
        command.append(key: key)
        command.append(first)
        command.append(last)
        return try await send(command, as: [String].self)
    }

    /// Returns the members between two ranks with their scores, by increasing score.
    public func zrangeWithScores(
        _ key: String, from first: Int = 0, to last: Int = -1
    ) async throws -> [(member: String, score: Double)] {
        var command = RedisCommand("ZRANGE")
        command.append(key: key)
        command.append(first)
        command.append(last)
        command.append("WITHSCORES")
        return try Self.scores(try await send(command))
    }

    /// Returns the members with a score in a range, by increasing score, at most `limit` of them.
    public func zrangeByScore(
        _ key: String, _ scores: ClosedRange<Double>, limit: Int = 1000
    ) async throws -> [String] {
        var command = RedisCommand("ZRANGEBYSCORE")
        command.append(key: key)
        command.append(scores.lowerBound)
        command.append(scores.upperBound)
        command.append("LIMIT")
        command.append(0)
        command.append(limit)
        return try await send(command, as: [String].self)
    }

    /// RESP3 sends pairs, RESP2 alternating members and scores.
    private static func scores(_ reply: RedisValue) throws -> [(member: String, score: Double)] {
        guard let elements = reply.elements else { throw reply.mismatch("an array") }
        if let first = elements.first, first.elements != nil {
            return try elements.map { element in
                guard let pair = element.elements, pair.count == 2 else { throw element.mismatch("a pair") }
                return (try String(redis: pair[0]), try Double(redis: pair[1]))
            }
        }
        guard elements.count.isMultiple(of: 2) else { throw reply.mismatch("pairs") }
        return try stride(from: 0, to: elements.count, by: 2).map { index in
            (try String(redis: elements[index]), try Double(redis: elements[index + 1]))
        }
    }
}
