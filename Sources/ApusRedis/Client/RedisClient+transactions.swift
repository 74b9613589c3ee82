import ApusCore

extension RedisClient {
    /// Runs commands as one transaction (`MULTI` … `EXEC`): no command of another client runs between them.
    ///
    /// Redis does not undo commands: if one of them fails when it runs, the others have run.
    ///
    /// - Parameter commands: The commands. In a cluster, all of their keys must be in one hash slot.
    /// - Returns: The replies in the order of the commands. Errors of commands that ran are values.
    /// - Throws: The errors of ``RedisCommands/send(_:)``; the error of the first command that Redis did not accept, after
    ///   which none has run.
    public func transaction(_ commands: [RedisCommand]) async throws -> [RedisValue] {
        guard !commands.isEmpty else { return [] }
        for command in commands { try command.requireOrdinary() }
        let node = try await core.node(for: commands)
        let group = Self.transaction(of: commands)
        let deadline = Deadline.currentOnEventLoop
        let reply = try await core.current.perform(.group(group), node: node, deadline: deadline)
        var result = Self.result(of: reply)
        if case .error(let error) = result {
            result = try await core.follow(error, at: node, deadline: deadline) { target in
                switch target {
                case .again(let node, let waits):
                    let node = if let node { node } else { try await core.node(for: commands) }
                    return Self.result(
                        of: try await core.current.perform(
                            .group(group), node: node, waitsWhileAway: waits, deadline: deadline))
                case .asking(let node):
                    // ASKING holds for the next command, and after MULTI until EXEC.
                    let asking = [RedisCommand("ASKING")] + group
                    let reply = try await core.current.perform(.group(asking), node: node, deadline: deadline)
                    return Self.result(of: reply)
                }
            }
        }
        guard let replies = result.elements else {
            throw AppError(.internal, "Redis answered EXEC with \(result.kind) instead of an array.")
        }
        return replies
    }

    static func transaction(of commands: [RedisCommand]) -> [RedisCommand] {
        [RedisCommand("MULTI")] + commands + [RedisCommand("EXEC")]
    }

    /// The result of a transaction: an array of replies, null if a watched key has changed, or the error because of which
    /// nothing has run.
    static func result(of reply: RedisValue) -> RedisValue {
        guard let replies = reply.elements, let last = replies.last else { return reply }
        guard case .error = last else { return last }
        // EXECABORT only says that an earlier command was refused, and that command's error says why.
        let cause = replies.first { if case .error = $0 { true } else { false } }
        return cause ?? last
    }
}
