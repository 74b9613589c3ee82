import NIOCore
import NIOPosix
import Synchronization

/// Forwards connections to a server, and counts round trips: how often a client has written after the server had.
final class RoundTripProxy: Sendable {
    private final class Trips: Sendable {
        private struct State {
            var count = 0
            var wasClient = false
        }

        private let state = Mutex(State())
        var count: Int { state.withLock { $0.count } }

        func note(fromClient: Bool) {
            state.withLock { state in
                if fromClient, !state.wasClient { state.count += 1 }
                state.wasClient = fromClient
            }
        }
    }

    private final class Forwarder: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let peer: any Channel
        private let isClient: Bool
        private let trips: Trips

        init(to peer: any Channel, isClient: Bool, _ trips: Trips) {
            self.peer = peer
            self.isClient = isClient
            self.trips = trips
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            trips.note(fromClient: isClient)
            peer.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { peer.close(promise: nil) }
    }

    private let channel: any Channel
    private let trips: Trips

    private init(_ channel: any Channel, _ trips: Trips) {
        self.channel = channel
        self.trips = trips
    }

    static func start(to port: Int) async throws -> RoundTripProxy {
        let trips = Trips()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop).connect(host: "127.0.0.1", port: port)
                    .flatMapThrowing { server in
                        let (there, back) = (
                            Forwarder(to: server, isClient: true, trips), Forwarder(to: client, isClient: false, trips)
                        )
                        try client.pipeline.syncOperations.addHandler(there)
                        try server.pipeline.syncOperations.addHandler(back)
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return RoundTripProxy(channel, trips)
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var roundTrips: Int { trips.count }

    func close() async throws { try await channel.close() }
}
