import ApusCore

extension RedisConfiguration {
    /// Reads a URL:
    ///
    /// ```
    /// redis://[[user]:password@]host[:port][/database]            one server; port 6379, database 0 by default
    /// redis+unix:///path/to/socket[?db=1]                         a Unix domain socket
    /// redis+sentinel://[[user]:password@]host1[:port],host2/primary[/database]    sentinels; port 26379 by default
    /// redis+cluster://[[user]:password@]host1[:port],host2        servers of a cluster
    /// ```
    ///
    /// With `rediss` instead of `redis`, connections use TLS with the authorities of the system. Special characters of
    /// the user and the password are percent-encoded; IPv6 addresses are in brackets. The user and the password of
    /// `redis+sentinel` are those of the servers; see ``sentinelPassword`` for those of the sentinels.
    ///
    /// - Throws: An `AppError` with code `invalidArgument` that says what is wrong. It does not contain the password.
    public init(url: String) throws {
        let parts = try RedisURL(url)
        switch parts.kind {
        case .single:
            guard parts.hosts.count == 1, let endpoint = parts.hosts.first else {
                throw RedisURL.invalid(
                    "names several hosts. Use redis+sentinel:// or redis+cluster:// for several servers")
            }
            self.init(.single(endpoint))
            database = try parts.database(parts.path.first)
            try parts.requirePath(atMost: 1, "redis://host:port/database")
        case .unix:
            self.init(.single(.unix(path: parts.socketPath)))
        case .sentinel:
            guard let primary = parts.path.first, !primary.isEmpty else {
                throw RedisURL.invalid(
                    "does not name the primary. Its form is redis+sentinel://host1,host2/primary")
            }
            self.init(.sentinel(parts.hosts, primary: primary))
            database = try parts.database(parts.path.count > 1 ? parts.path[1] : nil)
            try parts.requirePath(atMost: 2, "redis+sentinel://host1,host2/primary/database")
        case .cluster:
            self.init(.cluster(parts.hosts))
            try parts.requirePath(atMost: 0, "redis+cluster://host1,host2; a cluster has only the database 0")
        }
        if let database = parts.queryDatabase { self.database = database }
        user = parts.user
        password = parts.password
        if parts.isEncrypted { tls = RedisTLS() }
        try validate()
    }

    /// - Throws: An `AppError` with code `invalidArgument` that names the property that is not valid.
    func validate() throws {
        func require(_ condition: Bool, _ message: String) throws {
            guard condition else {
                throw AppError(.invalidArgument, "The Redis configuration is not valid: \(message)")
            }
        }
        switch topology {
        case .single: break
        case .sentinel(let endpoints, let primary):
            try require(!endpoints.isEmpty, "There must be at least one sentinel.")
            try require(!primary.isEmpty, "The name of the primary is empty.")
        case .cluster(let endpoints):
            try require(!endpoints.isEmpty, "There must be at least one server of the cluster.")
            try require(database == 0, "A cluster has only the database 0, not \(database).")
        }
        try require(database >= 0, "The database \(database) is negative.")
        try require(user == nil || password != nil, "There is a user but no password.")
        try require(
            clientName?.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } ?? true,
            "The client name may contain only ASCII characters without spaces.")
        try require((1...16).contains(connectionsPerLoop), "connectionsPerLoop must be from 1 to 16.")
        try require(dedicatedConnections > 0, "dedicatedConnections must be positive.")
        try require(waitingCommands >= 0 && pendingCommands > 0, "Limits on commands must be positive.")
        try require(
            connectTimeout > .zero && responseTimeout > .zero && keepAliveInterval > .zero, "Timeouts must be positive."
        )
    }
}
