import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension RedisConnection {
    /// Opens a connection and completes its handshake.
    /// - Returns: The connection; a `ConnectionFailure` if that fails or takes longer than the connect timeout.
    static func open(
        on eventLoop: any EventLoop, to endpoint: RedisEndpoint, for purpose: Purpose, _ settings: ConnectionSettings,
        owner: (any Owner)? = nil
    ) -> EventLoopFuture<RedisConnection> {
        let ready = eventLoop.makePromise(of: RedisConnection.self)
        let connection = RedisConnection(
            eventLoop, endpoint: endpoint, purpose: purpose, settings: settings, ready: ready)
        connection.owner = owner
        let timeout = eventLoop.scheduleTask(in: settings.connectTimeout) {
            connection.end(.unreachable(ChannelError.connectTimeout(settings.connectTimeout)))
        }
        ready.futureResult.whenComplete { _ in timeout.cancel() }
        let bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(settings.connectTimeout)
        let connecting: EventLoopFuture<any Channel> =
            switch endpoint {
            case .tcp(let host, let port):
                bootstrap
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .keepingAlive(settings.keepAlive)
                    .channelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            guard let handler = try settings.tlsHandler(for: endpoint) else { return }
                            try channel.pipeline.syncOperations.addHandler(handler)
                        }
                    }
                    .connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connecting.whenComplete { result in
            switch result {
            // Only now: for a host with several addresses there are several channels until one is connected.
            case .success(let channel): connection.use(channel)
            case .failure(let error): connection.end(.unreachable(error))
            }
        }
        return ready.futureResult
    }
}

extension ClientBootstrap {
    /// Lets the system check idle connections and bound the time for which what was sent is not acknowledged, so that a
    /// command that blocks for hours notices that its server is gone. The connection's own checks would wait behind it.
    fileprivate func keepingAlive(_ interval: TimeAmount) -> ClientBootstrap {
        let bootstrap = channelOption(.socketOption(.so_keepalive), value: 1)
        #if os(Linux)
            let seconds = SocketOptionValue(min(max(1, interval.nanoseconds / 1_000_000_000), 32_767))
            return
                bootstrap
                .channelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: seconds)
                .channelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: max(1, seconds / 3))
                .channelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
                .channelOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT)), value: 2000 * seconds)
        #else
            return bootstrap
        #endif
    }
}

extension ConnectionSettings {
    fileprivate func tlsHandler(for endpoint: RedisEndpoint) throws -> NIOSSLClientHandler? {
        guard let tlsContext, let host = endpoint.host else { return nil }
        let name = tls?.serverName ?? host
        // An IP address cannot be sent as the server's name; NIOSSL checks the certificate against the address itself.
        let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
        return try NIOSSLClientHandler(context: tlsContext, serverHostname: isAddress ? nil : name)
    }
}
