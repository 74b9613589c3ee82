import ApusCore
public import Logging
import NIOCore

/// A client of Redis, or of a server that speaks its protocol.
///
/// The commands of all tasks share a few connections and are pipelined: those that tasks of an event loop send in one
/// iteration are one write. Each reply resumes its task on the event loop that it was sent from.
///
/// ```swift
/// let redis = try RedisClient(url: "redis://localhost:6379/0", logger: logger)
/// try await redis.set("greeting", "hello", expiring: .after(.seconds(60)))
/// let greeting = try await redis.get("greeting")
/// await redis.close()
/// ```
///
/// - A connection that is lost is opened again, with growing delays. Commands meanwhile fail at once (see
///   ``RedisConfiguration/whileAway``). A command that was sent is never sent again, because it may have run.
/// - A command whose deadline passes, or whose task is cancelled, stops waiting; its reply is discarded when it comes.
/// - Commands that would hold up or affect the commands of other tasks are refused: those that block, such as `BLPOP`, are
///   sent by ``blocking(_:)``, and those that change the connection have methods of their own, such as
///   ``transaction(watching:_:)`` for `WATCH`.
public final class RedisClient: RedisCommands {
    let core: ClientCore
    let dedicated: DedicatedConnections
    let subscriptions: Subscriptions

    /// How long ``close()`` waits for the replies of commands that were sent.
    private static let closeLimit = Duration.seconds(5)

    /// Creates a client. Connections are opened when they are needed.
    /// - Throws: An `AppError` with code `invalidArgument` or `failedPrecondition` that names what is wrong with the
    ///   configuration.
    public init(_ configuration: RedisConfiguration, logger: Logger) throws {
        try configuration.validate()
        core = try ClientCore(configuration, logger)
        dedicated = DedicatedConnections(core)
        subscriptions = Subscriptions(core)
    }

    /// Creates a client for a URL. See ``RedisConfiguration/init(url:)``.
    public convenience init(url: String, logger: Logger) throws {
        try self.init(RedisConfiguration(url: url), logger: logger)
    }

    deinit {
        core.abort()
        dedicated.close()
        subscriptions.close()
    }

    /// Closes all connections. Commands that were sent get their replies, within 5 seconds; others fail.
    public func close() async {
        subscriptions.close()
        dedicated.close()
        await core.close(within: Self.closeLimit)
    }

    public func send(_ command: RedisCommand) async throws -> RedisValue {
        try await send(command, deadline: Deadline.currentOnEventLoop)
    }

    /// Runs a command with a deadline other than the task's.
    @inline(__always)
    func send(_ command: RedisCommand, deadline: NIODeadline?) async throws -> RedisValue {
        try command.requireShareable()
        let node = core.cluster == nil ? NodeID.primary : try await core.node(for: command)
        let reply = try await core.current.perform(.command(command), node: node, deadline: deadline)
        guard case .error(let error) = reply else { return reply }
        return try await core.follow(error, after: command, at: node, deadline: deadline)
    }

    /// Opens a connection and sends `PING`. Used for health checks.
    /// - Throws: The errors of ``send(_:)``.
    public func ping() async throws { _ = try await send(RedisCommand("PING")) }

    /// Runs commands that do not depend on each other, pipelined.
    /// - Returns: The replies in the order of the commands. Error replies are values here.
    /// - Throws: The errors of ``send(_:)`` except for error replies.
    public func pipeline(_ commands: [RedisCommand]) async throws -> [RedisValue] {
        try await pipeline(commands, deadline: Deadline.currentOnEventLoop)
    }

    func pipeline(_ commands: [RedisCommand], deadline: NIODeadline?) async throws -> [RedisValue] {
        for command in commands { try command.requireShareable() }
        guard core.cluster == nil else { return try await pipelineInCluster(commands, deadline) }
        let reply = try await core.current.perform(.group(commands), deadline: deadline)
        return reply.elements ?? []
    }

    /// Sends the commands separately, because they may go to different servers.
    private func pipelineInCluster(
        _ commands: [RedisCommand], _ deadline: NIODeadline?
    ) async throws -> [RedisValue] {
        try await withThrowingTaskGroup(of: (Int, RedisValue).self) { group in
            for (index, command) in commands.enumerated() {
                group.addImmediateTask {
                    do {
                        return (index, try await self.send(command, deadline: deadline))
                    } catch let error as RedisError {
                        return (index, .error(error))
                    }
                }
            }
            var replies = [RedisValue](repeating: .null, count: commands.count)
            for try await (index, reply) in group { replies[index] = reply }
            return replies
        }
    }
}
