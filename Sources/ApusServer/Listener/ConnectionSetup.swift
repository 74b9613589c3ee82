import ApusCore
import NIOCore
import NIOPosix
import NIOSSL

/// Builds the pipelines of a listener's connections: PROXY header, TLS, and the negotiation of the protocol.
struct ConnectionSetup: Sendable {
    private let core: ServerCore
    private let loops: [ObjectIdentifier: LoopState]
    private let tls: TLSContext?
    private let proxies: [IPNetwork]
    let group: any EventLoopGroup

    init(core: ServerCore, group: any EventLoopGroup, loops: [LoopState], tls: TLSContext?, proxies: [IPNetwork]) {
        self.core = core
        self.group = group
        self.loops = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
        self.tls = tls
        self.proxies = proxies
    }

    /// Returns a bootstrap for a listening socket.
    /// - Parameters:
    ///   - loop: The event loop that accepts connections.
    ///   - group: The event loops that serve them.
    func bootstrap(on loop: LoopState, connectionsOn group: any EventLoopGroup) -> ServerBootstrap {
        ServerBootstrap(group: loop.eventLoop, childGroup: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: AcceptGate.maximumPerRead)
            .serverChannelInitializer { [core] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGate(core))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try configure(channel) } }
    }

    /// Adds the handlers to the pipeline of a connection, which the gate has already counted.
    private func configure(_ channel: any Channel) throws {
        guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else { return core.connectionClosed() }
        let address = channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
        let isProxied =
            !proxies.isEmpty && (address.map { address in proxies.contains { $0.contains(address) } } ?? true)
        let negotiation = ProtocolNegotiationHandler(
            core: core, loop: loop, peer: Peer(address: address?.description, isSecure: tls != nil),
            awaitsProxyHeader: isProxied)
        do {
            let pipeline = channel.pipeline.syncOperations
            if isProxied { try pipeline.addHandler(ProxyHeaderHandler()) }
            if let tls {
                try pipeline.addHandler(ApplicationProtocolGate())
                try pipeline.addHandler(NIOSSLServerHandler(context: tls.current))
            }
            if channel.localAddress?.port != nil {
                try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
            }
            try pipeline.addHandler(negotiation)
        } catch {
            core.connectionClosed()
            throw error
        }
    }
}
