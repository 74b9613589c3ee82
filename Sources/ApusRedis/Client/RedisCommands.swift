/// Something that runs commands: a ``RedisClient``, or a ``RedisSession`` on a connection of its own. Extensions add the
/// everyday commands.
public protocol RedisCommands: Sendable {
    /// Runs a command.
    /// - Returns: The reply, which is not an error.
    /// - Throws: The error reply as ``RedisError``; an `AppError` with code `unavailable` if Redis cannot be reached or
    ///   the connection ends before the reply, `deadlineExceeded` if the task's deadline passes, `resourceExhausted` if
    ///   too many commands wait for replies, `invalidArgument` if the command would affect those of other tasks;
    ///   `CancellationError`.
    func send(_ command: RedisCommand) async throws -> RedisValue
}

extension RedisCommands {
    /// Runs a command and converts its reply.
    /// - Throws: The errors of ``send(_:)``; an `AppError` with code `internal` if the reply has another type.
    public func send<Value: RedisDecodable>(_ command: RedisCommand, as type: Value.Type) async throws -> Value {
        try Value(redis: try await send(command))
    }
}
