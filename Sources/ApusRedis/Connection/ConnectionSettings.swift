import ApusCore
import NIOCore
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
