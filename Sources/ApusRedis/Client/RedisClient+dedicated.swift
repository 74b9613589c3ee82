import ApusCore
import Synchronization

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
        try command.requireOrdinary()
        let node = try await core.node(for: command)
        let reply = try await withSession(at: node) { try await $0.perform(.command(command)) }
        guard case .error(let error) = reply else { return reply }
        return try await core.follow(error, at: node, deadline: Deadline.currentOnEventLoop) { target in
            switch target {
            case .again(let node, _):
                let node = if let node { node } else { try await core.node(for: command) }
                return try await withSession(at: node) { try await $0.perform(.command(command)) }
            case .asking(let node):
                let group = [RedisCommand("ASKING"), command]
                let reply = try await withSession(at: node) { try await $0.perform(.group(group)) }
                return reply.elements?.last ?? .null
            }
        }
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
        let node = try await core.node(for: watch)
        var result = try await transaction(watch, at: node, attempts, body)
        if case .error(let error) = result {
            result = try await core.follow(error, at: node, deadline: Deadline.currentOnEventLoop) { target in
                switch target {
                case .again(let node, _):
                    let node = if let node { node } else { try await core.node(for: watch) }
                    return try await transaction(watch, at: node, attempts, body)
                // While a slot moves, its keys are on two servers, neither of which can watch all of them.
                case .asking: throw error
                }
            }
        }
        return result.elements ?? []
    }

    /// - Returns: The replies of the commands, or the error because of which nothing has run.
    private func transaction(
        _ watch: RedisCommand, at node: NodeID, _ attempts: Int,
        _ body: (RedisSession) async throws -> [RedisCommand]
    ) async throws -> RedisValue {
        try await withSession(at: node) { session in
            for _ in 0..<max(1, attempts) {
                let reply = try await session.perform(.command(watch))
                if case .error = reply { return reply }
                let commands = try await body(session)
                guard !commands.isEmpty else {
                    _ = try await session.perform(.command(RedisCommand("UNWATCH")))
                    return .array([])
                }
                for command in commands { try command.requireOrdinary() }
                let group = Self.transaction(of: commands)
                let result = Self.result(of: try await session.perform(.group(group)))
                // Null says that a watched key has changed.
                if case .null = result { continue }
                return result
            }
            throw AppError(.aborted, "The watched Redis keys changed during each of \(max(1, attempts)) attempts.")
        }
    }

    private func withSession<Result>(
        at node: NodeID, _ body: (RedisSession) async throws -> Result
    ) async throws -> Result {
        try await dedicated.with(node) { connection in
            let session = RedisSession(connection)
            defer { session.end() }
            return try await body(session)
        }
    }
}

/// A connection that one task uses. Ends with the closure that it was passed to.
public final class RedisSession: RedisCommands {
    private let connection: RedisConnection
    private let hasEnded = Atomic(false)

    init(_ connection: RedisConnection) { self.connection = connection }

    public func send(_ command: RedisCommand) async throws -> RedisValue {
        try command.requireOrdinary()
        let reply = try await perform(.command(command))
        if case .error(let error) = reply { throw error }
        return reply
    }

    func perform(_ content: RedisRequest.Content) async throws -> RedisValue {
        guard !hasEnded.load(ordering: .acquiring) else {
            throw AppError(.internal, "A Redis session was used after the end of the closure that it was passed to.")
        }
        return try await connection.perform(content, deadline: Deadline.currentOnEventLoop)
    }

    func end() { hasEnded.store(true, ordering: .releasing) }
}
