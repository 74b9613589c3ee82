import ApusCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

@testable import ApusRedis

/// A server whose replies a test writes, for what a real server does not do.
final class ScriptedServer: Sendable {
    /// What the server does with a command.
    enum Reply: Sendable {
        case bytes(String)
        /// Reply, but not before ``release()``. Later replies on the connection wait behind it.
        case held(String)
        case nothing
        /// Close the connection.
        case close

        /// The reply to HELLO 3.
        static let ready = bytes("%1\r\n+proto\r\n:3\r\n")
    }

    /// What a test tells the handler of each connection.
    fileprivate enum Instruction: Sendable {
        case release
        case write(String)
    }

    private let channel: any Channel
    private let log: CommandLog
    private let connections: ConnectionList

    var port: Int { channel.localAddress?.port ?? 0 }

    var endpoint: RedisEndpoint { .tcp(host: "127.0.0.1", port: port) }

    /// The names of the commands received, on all connections.
    var received: [String] { log.all.compactMap(\.first) }

    /// - Parameter reply: Returns the reply to a command, of which it gets the words.
    static func run<Result>(
        _ reply: @escaping @Sendable ([String]) -> Reply, _ body: (ScriptedServer) async throws -> Result
    ) async throws -> Result {
        let (log, connections) = (CommandLog(), ConnectionList())
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                connections.append(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ScriptedHandler(reply, log))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let result = try await body(ScriptedServer(channel, log, connections))
            try await channel.close()
            return result
        } catch {
            try await channel.close()
            throw error
        }
    }

    private init(_ channel: any Channel, _ log: CommandLog, _ connections: ConnectionList) {
        self.channel = channel
        self.log = log
        self.connections = connections
    }

    /// Waits until the server has received commands. The condition gets the words of all of them.
    func waitUntil(_ condition: @escaping @Sendable ([[String]]) -> Bool) async { await log.wait(until: condition) }

    /// Waits until the server has received a command, so many times.
    func wait(for name: String, count: Int = 1) async {
        await waitUntil { commands in commands.count { $0.first == name } >= count }
    }

    /// Writes the replies that were held. From now on, none is held.
    func release() { tell(.release) }

    /// Writes to all connections.
    func write(_ text: String) { tell(.write(text)) }

    /// Closes all connections.
    func closeConnections() { for channel in connections.all { channel.close(promise: nil) } }

    private func tell(_ instruction: Instruction) {
        for channel in connections.all { channel.triggerUserOutboundEvent(instruction, promise: nil) }
    }
}

/// Runs a closure with a scripted server and a client of it, with one connection for all commands.
func withScriptedServer(
    _ change: (inout RedisConfiguration, ScriptedServer) -> Void = { _, _ in },
    _ reply: @escaping @Sendable ([String]) -> ScriptedServer.Reply,
    _ body: (RedisClient, ScriptedServer, CapturingLogHandler.Lines) async throws -> Void
) async throws {
    try await ScriptedServer.run(reply) { server in
        let lines = CapturingLogHandler.Lines()
        var configuration = RedisConfiguration(.single(server.endpoint))
        configuration.connectionsPerLoop = 1
        configuration.reconnect = RetryPolicy(baseDelay: .milliseconds(5), maximumDelay: .milliseconds(50))
        change(&configuration, server)
        let logger = Logger(label: "test") { _ in CapturingLogHandler(lines: lines) }
        let redis = try RedisClient(configuration, logger: logger)
        try await body(redis, server, lines)
        // The client waits for the replies of what was sent.
        server.closeConnections()
        await redis.close()
    }
}

private final class ConnectionList: Sendable {
    private let channels = Mutex<[any Channel]>([])
    var all: [any Channel] { channels.withLock { $0 } }
    func append(_ channel: any Channel) { channels.withLock { $0.append(channel) } }
}

/// The words of the commands received, and who waits for them.
private final class CommandLog: Sendable {
    private struct State {
        var commands: [[String]] = []
        var waiters: [(condition: @Sendable ([[String]]) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var all: [[String]] { state.withLock { $0.commands } }

    func append(_ words: [String]) {
        let ready = state.withLock { state in
            state.commands.append(words)
            let commands = state.commands
            let ready = state.waiters.filter { $0.condition(commands) }
            state.waiters.removeAll { $0.condition(commands) }
            return ready.map(\.continuation)
        }
        for continuation in ready { continuation.resume() }
    }

    func wait(until condition: @escaping @Sendable ([[String]]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isMet = state.withLock { state in
                if condition(state.commands) { return true }
                state.waiters.append((condition, continuation))
                return false
            }
            if isMet { continuation.resume() }
        }
    }
}

private final class ScriptedHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let reply: ([String]) -> ScriptedServer.Reply
    private let log: CommandLog
    private var reader = RESPReader()
    private var held = ""
    private var isReleased = false

    init(_ reply: @escaping ([String]) -> ScriptedServer.Reply, _ log: CommandLog) {
        self.reply = reply
        self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        reader.append(unwrapInboundIn(data))
        while let words = (try? reader.next())?.elements?.compactMap({ try? String(redis: $0) }) {
            let reply = reply(words)
            // Before the test learns of the command, so that it cannot be released too early.
            if case .held(let text) = reply, !isReleased { held += text }
            log.append(words)
            switch reply {
            case .bytes(let text): if held.isEmpty { write(text, context) } else { held += text }
            case .held(let text): if isReleased { write(text, context) }
            case .nothing: break
            case .close: context.close(promise: nil)
            }
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event as? ScriptedServer.Instruction {
        case .release:
            isReleased = true
            write(held, context)
            held = ""
        case .write(let text): write(text, context)
        case nil: context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
}
