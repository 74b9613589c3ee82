import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Forwards connections to a Postgres server, and breaks one of them at the message that a ``Fault`` says.
///
/// The messages of all connections are counted together, from when the fault was armed.
final class FaultProxy: Sendable {
    fileprivate struct State {
        var fault: Fault?
        /// Whether bytes are counted instead of messages. Those of encrypted connections are no messages.
        var countsBytes = false
        var hasStruck = false
        var messages = [Fault.Side.client: 0, .server: 0]
        var bytes = [Fault.Side.client: 0, .server: 0]
        var connections = 0
        var intact = 0
    }

    /// What is to be done with a message, or with bytes.
    fileprivate enum Decision {
        case forward
        /// Forward so many bytes, and then break the connection.
        case strike(Int, Fault.Effect)
    }

    private let channel: any Channel
    fileprivate let state: SharedState

    fileprivate final class SharedState: Sendable {
        let state = Mutex(State())
    }

    private init(_ channel: any Channel, _ state: SharedState) {
        self.channel = channel
        self.state = state
    }

    /// Runs a closure with a proxy in front of the server on a port of 127.0.0.1.
    static func with(serverPort: Int, _ body: (FaultProxy) async throws -> Void) async throws {
        let state = SharedState()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                state.state.withLock { $0.connections += 1 }
                return ClientBootstrap(group: client.eventLoop).connectTimeout(.seconds(60))
                    .channelOption(.autoRead, value: false)
                    .connect(host: "127.0.0.1", port: serverPort)
                    .flatMapThrowing { server in
                        let link = ProxiedConnection(client, server, state)
                        try client.pipeline.syncOperations.addHandler(ProxiedConnection.Handler(link, .client))
                        try server.pipeline.syncOperations.addHandler(ProxiedConnection.Handler(link, .server))
                        try client.syncOptions?.setOption(.autoRead, value: true)
                        try server.syncOptions?.setOption(.autoRead, value: true)
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let proxy = FaultProxy(channel, state)
        do {
            try await body(proxy)
        } catch {
            try? await channel.close()
            throw error
        }
        try? await channel.close()
    }

    var port: Int { channel.localAddress?.port ?? 0 }

    /// How many connections clients have opened.
    var connections: Int { state.state.withLock { $0.connections } }

    /// How many of them are open, and were not broken.
    var intactConnections: Int { state.state.withLock { $0.intact } }

    /// Begins to count, and breaks a connection when the fault's place is reached.
    func arm(_ fault: Fault) {
        state.state.withLock { state in
            var countsBytes = false
            if case .byte = fault.position { countsBytes = true }
            state = State(
                fault: fault, countsBytes: countsBytes, connections: state.connections, intact: state.intact)
        }
    }

    /// - Returns: Whether a connection was broken since the fault was armed.
    func disarm() -> Bool {
        state.state.withLock { state in
            state.fault = nil
            return state.hasStruck
        }
    }
}

/// A connection of a client, and the one to the server to which it is forwarded.
///
/// `@unchecked Sendable`: used only on the event loop that both share.
private final class ProxiedConnection: @unchecked Sendable {
    private let client: any Channel
    private let server: any Channel
    private let state: FaultProxy.SharedState
    private var framers = [Fault.Side.client: MessageFramer(of: .client), .server: MessageFramer(of: .server)]
    private var isBroken = false

    init(_ client: any Channel, _ server: any Channel, _ state: FaultProxy.SharedState) {
        self.client = client
        self.server = server
        self.state = state
        state.state.withLock { $0.intact += 1 }
    }

    final class Handler: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        private let connection: ProxiedConnection
        private let side: Fault.Side

        init(_ connection: ProxiedConnection, _ side: Fault.Side) {
            self.connection = connection
            self.side = side
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            connection.received(unwrapInboundIn(data), from: side)
        }

        func channelInactive(context: ChannelHandlerContext) { connection.ended(side) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private func destination(of side: Fault.Side) -> any Channel { side == .client ? server : client }

    func received(_ bytes: ByteBuffer, from side: Fault.Side) {
        guard !isBroken else { return }
        if state.state.withLock({ $0.countsBytes }) {
            return forward(bytes, from: side) { count(bytes: $0, side) }
        }
        framers[side]?.append(bytes)
        while !isBroken, let message = framers[side]?.next() {
            if framers[side]?.isTLSRequest == true { framers[.server]?.expectsSingleByte = true }
            forward(message, from: side) { count(message: $0, side) }
        }
    }

    private func forward(_ bytes: ByteBuffer, from side: Fault.Side, _ decide: (ByteBuffer) -> FaultProxy.Decision) {
        switch decide(bytes) {
        case .forward: destination(of: side).writeAndFlush(bytes, promise: nil)
        case .strike(let length, let effect):
            noteBroken()
            let part = bytes.getSlice(at: bytes.readerIndex, length: length) ?? bytes
            destination(of: side).writeAndFlush(part).whenComplete { _ in self.end(effect) }
        }
    }

    private func count(message: ByteBuffer, _ side: Fault.Side) -> FaultProxy.Decision {
        state.state.withLock { state in
            let number = state.messages[side, default: 0]
            state.messages[side] = number + 1
            guard let fault = state.fault, fault.side == side, !state.hasStruck,
                case .message(number, let place) = fault.position
            else { return .forward }
            state.hasStruck = true
            switch place {
            case .before: return .strike(0, fault.effect)
            case .inside: return .strike(message.readableBytes / 2, fault.effect)
            case .after: return .strike(message.readableBytes, fault.effect)
            }
        }
    }

    private func count(bytes: ByteBuffer, _ side: Fault.Side) -> FaultProxy.Decision {
        state.state.withLock { state in
            let before = state.bytes[side, default: 0]
            state.bytes[side] = before + bytes.readableBytes
            guard let fault = state.fault, fault.side == side, !state.hasStruck,
                case .byte(let offset) = fault.position, offset < before + bytes.readableBytes
            else { return .forward }
            state.hasStruck = true
            return .strike(max(0, offset - before), fault.effect)
        }
    }

    private func end(_ effect: Fault.Effect) {
        switch effect {
        case .silence: break
        case .close:
            client.close(promise: nil)
            server.close(promise: nil)
        case .reset:
            for channel in [client, server] {
                // Closing a socket that does not linger resets the connection.
                (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                    .whenComplete { _ in channel.close(promise: nil) }
            }
        }
    }

    /// Called when one side has closed its connection.
    func ended(_ side: Fault.Side) {
        noteBroken()
        destination(of: side).close(promise: nil)
    }

    private func noteBroken() {
        guard !isBroken else { return }
        isBroken = true
        state.state.withLock { $0.intact -= 1 }
    }
}
