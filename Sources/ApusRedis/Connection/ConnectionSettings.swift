import ApusCore
import NIOCore
import NIOPosix
import NIOSSL

/// What all connections of a client have in common.
struct ConnectionSettings: Sendable {
    var handshake: Handshake.Requirements
    let tls: RedisTLS?
    let tlsContext: NIOSSLContext?
    let connectTimeout: TimeAmount
    let keepAlive: TimeAmount
    let responseTimeout: TimeAmount
    let pendingCommands: Int
    let limits: RESPLimits

    /// - Throws: An `AppError` with code `failedPrecondition` if a file of the TLS configuration cannot be used.
    init(_ configuration: RedisConfiguration) throws {
        handshake = Handshake.Requirements(
            user: configuration.user, password: configuration.password, clientName: configuration.clientName,
            database: configuration.database)
        if case .sentinel = configuration.topology { handshake.requiresPrimary = true }
        tls = configuration.tls
        tlsContext = try configuration.tls?.makeContext()
        connectTimeout = TimeAmount(configuration.connectTimeout)
        keepAlive = TimeAmount(configuration.keepAliveInterval)
        responseTimeout = TimeAmount(configuration.responseTimeout)
        pendingCommands = max(1, configuration.pendingCommands)
        limits = configuration.limits
    }

    /// The settings for connections to sentinels, which have users of their own and no databases.
    func forSentinel(_ configuration: RedisConfiguration) -> ConnectionSettings {
        var settings = self
        settings.handshake = Handshake.Requirements(
            user: configuration.sentinelUser, password: configuration.sentinelPassword,
            clientName: configuration.clientName)
        return settings
    }
}

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
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(settings.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let handler = try settings.tlsHandler(for: endpoint) {
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
        let connecting: EventLoopFuture<any Channel> =
            switch endpoint {
            case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
            case .unix(let path): ClientBootstrap.unix(path, eventLoop, settings, connection)
            }
        connecting.whenFailure { connection.end(.unreachable($0)) }
        return ready.futureResult
    }
}

extension ClientBootstrap {
    /// Connects to a Unix domain socket, which has no options of TCP.
    fileprivate static func unix(
        _ path: String, _ eventLoop: any EventLoop, _ settings: ConnectionSettings, _ connection: RedisConnection
    ) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(settings.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
            .connect(unixDomainSocketPath: path)
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
