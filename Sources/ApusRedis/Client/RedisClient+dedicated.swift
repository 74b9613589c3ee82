import ApusCore
import ServiceContextModule

extension RedisClient {
    /// Runs a command that blocks until something happens, such as `BLPOP` or `XREAD BLOCK`, on a connection that
    /// nothing else uses meanwhile.
    ///
    /// If the task's deadline passes or the task is cancelled, the connection is closed, which ends the command on the
    /// server. An element that the server has removed at that moment is lost; use `BLMOVE` to another list where that
    /// matters.
    ///
    /// - Throws: The errors of ``RedisCommands/send(_:)``; an `AppError` with code `resourceExhausted` if all
    ///   ``RedisConfiguration/dedicatedConnections`` are in use until the deadline.
    public func blocking(_ command: RedisCommand) async throws -> RedisValue {
        try await withSession(for: command) { try await $0.send(command) }
    }

    /// Runs a transaction whose commands depend on what keys contain: `WATCH`, reads, then `MULTI` … `EXEC`.
    ///
    /// ```swift
    /// try await redis.transaction(watching: ["stock:7"]) { session in
    ///     let stock = try await session.get("stock:7", as: Int.self) ?? 0
    ///     guard stock > 0 else { throw SoldOut() }
    ///     var command = RedisCommand("SET")
    ///     command.append(key: "stock:7")
    ///     command.append(stock - 1)
    ///     return [command]
    /// }
    /// ```
    ///
    /// If a watched key changes before the commands run, none of them runs, and the closure is called again.
    ///
    /// - Parameters:
    ///   - keys: The keys that must not change. In a cluster, all keys must be in one hash slot.
    ///   - attempts: The maximum number of calls of the closure. 10 by default.
    ///   - body: Reads through the session, and returns the commands to run; none to change nothing.
    /// - Returns: The replies of the commands. Errors of commands that ran are values.
    /// - Throws: An `AppError` with code `aborted` if the keys changed in each attempt; the errors of the closure and of
    ///   ``blocking(_:)``.
    public func transaction(
        watching keys: [String], attempts: Int = 10, _ body: (RedisSession) async throws -> [RedisCommand]
    ) async throws -> [RedisValue] {
        var watch = RedisCommand("WATCH")
        watch.append(keys: keys)
        return try await withSession(for: watch) { session in
            for _ in 0..<max(1, attempts) {
                _ = try await session.send(watch)
                let commands = try await body(session)
                guard !commands.isEmpty else {
                    _ = try await session.send(RedisCommand("UNWATCH"))
                    return []
                }
                let result = Self.result(of: try await session.perform(.group(Self.transaction(of: commands))))
                if case .error(let error) = result { throw error }
                if let replies = result.elements { return replies }
            }
            throw AppError(.aborted, "The watched Redis keys changed during each of \(max(1, attempts)) attempts.")
        }
    }

    private func withSession<Result>(
        for command: RedisCommand, _ body: (RedisSession) async throws -> Result
    ) async throws -> Result {
        try await dedicated.with(try await core.node(for: command)) { connection in
            try await body(RedisSession(connection))
        }
    }
}

/// A connection that one task uses. Ends with the closure that it was passed to.
public final class RedisSession: RedisCommands {
    private let connection: RedisConnection

    init(_ connection: RedisConnection) { self.connection = connection }

    public func send(_ command: RedisCommand) async throws -> RedisValue {
        let reply = try await perform(.command(command))
        if case .error(let error) = reply { throw error }
        return reply
    }

    func perform(_ content: RedisRequest.Content) async throws -> RedisValue {
        try await connection.perform(content, deadline: ServiceContext.current?.deadline?.instant)
    }
}
