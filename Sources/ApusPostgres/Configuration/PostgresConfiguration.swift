public import ApusCore

/// How to connect to a Postgres database, and how many connections to use.
public struct PostgresConfiguration: Sendable {
    /// Where a server listens.
    public enum Host: Sendable, Hashable {
        /// A name or an address, and a port. The name is resolved at each connect, so that a failover by DNS is
        /// noticed.
        case tcp(String, port: Int)
        /// The folder of a Unix socket, and the port in the socket's name.
        case unixSocket(folder: String, port: Int)
    }

    /// Which of several hosts is accepted, as `target_session_attrs` of libpq.
    public enum TargetSession: String, Sendable, CaseIterable {
        /// Any server.
        case any
        /// A server that accepts writes: a primary whose transactions are not read-only by default.
        case readWrite = "read-write"
        /// A server that does not accept writes.
        case readOnly = "read-only"
        /// A server that is not a standby.
        case primary
        /// A standby.
        case standby
        /// A standby; any server if there is none.
        case preferStandby = "prefer-standby"
    }

    /// Whether the connection is encrypted, and how the server is verified, as `sslmode` of libpq.
    public enum TLSMode: String, Sendable, CaseIterable {
        /// Never encrypted.
        case disable
        /// Encrypted only if the server refuses a connection that is not.
        case allow
        /// Encrypted if the server offers it, unless it refuses a connection that is. An attacker who can change the traffic
        /// can prevent it.
        case prefer
        /// Encrypted. Who the server is is not verified, unless a root certificate is given.
        case require
        /// Encrypted, with a certificate that a trusted authority has issued to anyone.
        case verifyCA = "verify-ca"
        /// Encrypted, with a certificate that a trusted authority has issued for the host.
        case verifyFull = "verify-full"
    }

    /// Whether authentication is bound to the encrypted connection, as `channel_binding` of libpq. Then nobody can pass on
    /// what the client and the server say, even with a certificate that this side accepts.
    public enum ChannelBinding: String, Sendable, CaseIterable {
        /// Never bound.
        case disable
        /// Bound if the connection is encrypted and the server offers it.
        case prefer
        /// Bound. Any other authentication is refused, and so is a server that asks for none.
        case require
    }

    /// The hosts, which are tried in order.
    public var hosts: [Host]
    /// The hosts for LISTEN and the lock of migrations, if ``hosts`` are connection poolers such as PgBouncer, which
    /// support neither. By default the same as ``hosts``.
    public var directHosts: [Host]?
    public var user: String
    public var password: Secret<String>?
    /// The name of the database.
    public var database: String
    /// `prefer` by default. Unix sockets are never encrypted.
    public var tls = TLSMode.prefer
    /// The path of a file with the certificates of trusted authorities, in PEM format. By default those of the system.
    public var rootCertificate: String?
    /// The path of a file with the certificate that the client shows, and those of its issuers, in PEM format. Needs
    /// ``clientKey``.
    public var clientCertificate: String?
    /// The path of a file with the key of ``clientCertificate``, in PEM format, without a passphrase.
    public var clientKey: String?
    /// `prefer` by default.
    public var channelBinding = ChannelBinding.prefer
    public var targetSession = TargetSession.any
    /// The name that the server shows for the connections.
    public var applicationName = "apus"
    /// The time that connecting to one host may take, with TLS and authentication. 5 seconds by default.
    public var connectTimeout = Duration.seconds(5)
    /// After how long the server cancels a statement by itself. By default it does not: statements end at the deadline
    /// of their request, for which this side cancels them. Cannot be used with PgBouncer unless that ignores it.
    public var statementTimeout: Duration?
    /// Whether statements stay prepared on the server. By default they do, unless a connection leads through a
    /// connection pooler, which may run them on a server connection that does not know them. `true` for poolers that
    /// keep track of them, such as PgBouncer since 1.21 with `max_prepared_statements` above 0.
    public var preparesStatements: Bool?
    /// Sets the server's `plan_cache_mode`, such as `force_custom_plan` if statements have become slow after five
    /// executions. By default the server decides.
    public var planCacheMode: String?
    /// The maximum number of connections for transactions, COPY, cursors and slow statements. 10 by default.
    public var poolSize = 10
    /// The maximum number of connections of each event loop for single statements, which share them. By default 4, or
    /// less on machines with many processors.
    public var sharedConnections: Int?
    /// The maximum age of a connection, reduced at random by up to a tenth, so that connections do not end together.
    /// 30 minutes by default.
    public var maximumLifetime = Duration.seconds(1800)
    /// After how long without use a connection is checked. 30 seconds by default.
    public var checkInterval = Duration.seconds(30)
    /// How long a statement may run before it is logged as a warning. 500 milliseconds by default.
    public var slowQuery = Duration.milliseconds(500)
    /// The maximum length of a message of the server, such as a row, in bytes. 256 MiB by default.
    public var maximumMessageBytes = 256 << 20

    /// Creates a configuration.
    /// - Parameter database: The name of the database; by default that of the user.
    public init(
        host: String = "localhost", port: Int = 5432, user: String, password: Secret<String>? = nil,
        database: String? = nil
    ) {
        hosts = [.tcp(host, port: port)]
        self.user = user
        self.password = password
        self.database = database ?? user
    }

    /// The same configuration, for connections that must not lead through a connection pooler.
    var direct: PostgresConfiguration {
        var configuration = self
        configuration.hosts = directHosts ?? hosts
        return configuration
    }

    /// The parameters of the startup message.
    /// - Parameter isMinimal: Whether to leave out what a connection pooler may not know.
    func startupParameters(isMinimal: Bool) -> [(name: String, value: String)] {
        var parameters = [
            (name: "user", value: user), ("database", database), ("client_encoding", "UTF8"), ("DateStyle", "ISO"),
            ("TimeZone", "UTC"), ("application_name", applicationName),
        ]
        guard !isMinimal else { return parameters }
        if let statementTimeout {
            parameters.append(("statement_timeout", "\(max(1, Int(statementTimeout / .milliseconds(1))))"))
        }
        if let planCacheMode { parameters.append(("plan_cache_mode", planCacheMode)) }
        return parameters
    }
}

extension PostgresConfiguration.Host: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tcp(let host, let port): "\(host):\(port)"
        case .unixSocket(let folder, let port): "\(folder)/.s.PGSQL.\(port)"
        }
    }
}
