public import ApusCore

/// The configuration of a ``RedisClient``.
///
/// ```swift
/// var configuration = try RedisConfiguration(url: "redis://localhost:6379/0")
/// configuration.clientName = "orders"
/// ```
public struct RedisConfiguration: Sendable {
    /// How the servers are found.
    public enum Topology: Sendable, Hashable {
        /// One server.
        case single(RedisEndpoint)
        /// The primary that the sentinels name.
        case sentinel([RedisEndpoint], primary: String)
        /// A cluster. The servers given are those that are asked for the others.
        case cluster([RedisEndpoint])
    }

    /// What commands do while no connection can be opened.
    public enum WhileAway: Sendable, Hashable {
        /// They fail at once, with code `unavailable`.
        case failFast
        /// They wait for the next connection until their deadline, as long as fewer than
        /// ``RedisConfiguration/waitingCommands`` wait.
        case wait
    }

    /// How the servers are found.
    public var topology: Topology
    /// The user (`ACL`). `default` if it is `nil` and there is a password.
    public var user: String?
    /// The password. No authentication if `nil`.
    public var password: Secret<String>?
    /// The user of the sentinels.
    public var sentinelUser: String?
    /// The password of the sentinels.
    public var sentinelPassword: Secret<String>?
    /// The number of the database. 0 by default; a cluster has only this one.
    public var database = 0
    /// TLS, or `nil` for connections without encryption.
    public var tls: RedisTLS?
    /// The name of the connections in `CLIENT LIST`, without spaces. `nil` by default.
    public var clientName: String?

    /// The connections that all tasks of an event loop share, to each server. 2 by default, in the range from 1 to 16.
    /// Commands of over 64 KiB, behind which others would wait, have one more, which is opened for the first of them.
    public var connectionsPerLoop = 2
    /// The maximum number of connections that are used by one task at a time: for blocking commands and for
    /// transactions that watch keys. 64 by default.
    public var dedicatedConnections = 64
    /// The maximum duration of opening a connection, TLS and authentication included. 5 seconds by default.
    public var connectTimeout = Duration.seconds(5)
    /// The time without a byte from the server, while replies are missing, after which a connection counts as broken.
    /// 30 seconds by default. Commands of tasks without a deadline wait at most about this long.
    public var responseTimeout = Duration.seconds(30)
    /// The time without a byte after which an idle connection is checked by PING. 15 seconds by default.
    public var keepAliveInterval = Duration.seconds(15)
    /// The delays between attempts to connect: from 50 milliseconds to 5 seconds by default, with jitter. The number of
    /// attempts is not limited.
    public var reconnect = RetryPolicy(
        maximumAttempts: .max, baseDelay: .milliseconds(50), maximumDelay: .seconds(5))
    /// What commands do while no connection can be opened. They fail by default.
    public var whileAway = WhileAway.failFast
    /// The maximum number of commands that wait for a connection, on each event loop and for each server. 1000 by
    /// default.
    public var waitingCommands = 1000
    /// The maximum number of commands on one connection that wait for their replies. 16,384 by default.
    public var pendingCommands = 16_384
    /// The limits on replies.
    public var limits = RESPLimits()

    /// Creates a configuration with the defaults above.
    public init(_ topology: Topology) { self.topology = topology }
}
