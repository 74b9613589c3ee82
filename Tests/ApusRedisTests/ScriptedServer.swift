import NIOCore
import NIOPosix
import Synchronization

@testable import ApusRedis

/// A server whose replies a test writes, for what a real server does not do.
final class ScriptedServer: Sendable {
    /// What the server does with a command.
    enum Reply: Sendable {
        case bytes(String)
        case nothing
        /// Close the connection.
        case close
    }

    private let channel: any Channel
    private let commands: CommandList

    var port: Int { channel.localAddress?.port ?? 0 }

    /// The names of the commands received, on all connections.
    var received: [String] { commands.all }

    /// - Parameter reply: Returns the reply to a command, of which it gets the words.
    static func run<Result>(
        _ reply: @escaping @Sendable ([String]) -> Reply, _ body: (ScriptedServer) async throws -> Result
    ) async throws -> Result {
        let commands = CommandList()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(reply, commands))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let result = try await body(ScriptedServer(channel, commands))
            try await channel.close()
            return result
        } catch {
            try await channel.close()
            throw error
        }
    }

    private init(_ channel: any Channel, _ commands: CommandList) {
        self.channel = channel
        self.commands = commands
    }

    private final class CommandList: Sendable {
        private let names = Mutex<[String]>([])
        var all: [String] { names.withLock { $0 } }
        func append(_ name: String) { names.withLock { $0.append(name) } }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let reply: ([String]) -> Reply
        private let commands: CommandList
        private var reader = RESPReader()

        init(_ reply: @escaping ([String]) -> Reply, _ commands: CommandList) {
            self.reply = reply
            self.commands = commands
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            reader.append(unwrapInboundIn(data))
            while let words = (try? reader.next())?.elements?.compactMap({ try? String(redis: $0) }) {
                commands.append(words.first ?? "")
                switch reply(words) {
                case .bytes(let text):
                    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
                case .nothing: break
                case .close: context.close(promise: nil)
                }
            }
        }
    }
}
