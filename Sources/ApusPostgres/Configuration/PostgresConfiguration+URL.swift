import ApusCore

extension PostgresConfiguration {
    /// Reads a URL: `postgres://user:password@host:port,host2/database?sslmode=verify-full`.
    ///
    /// Characters with a meaning in URLs are percent-encoded. Parameters: `sslmode`, `sslrootcert`, `sslcert` and `sslkey`
    /// (files), `channel_binding`, `target_session_attrs`, `application_name`, `connect_timeout` (seconds),
    /// `statement_timeout` (such as `30s` or `500ms`), `pool_size`, `shared_connections`, `prepare` (`on` or `off`),
    /// `plan_cache_mode`, `direct_host` (the hosts behind a connection pooler, as in the URL; see ``directHosts``) and
    /// `host`, the folder of a Unix socket.
    /// - Throws: An `AppError` of code `invalidArgument` that names the mistake. It never contains the password.
    public init(url: String) throws {
        guard let scheme = ["postgres://", "postgresql://"].first(where: { url.starts(withBytesOf: $0) }) else {
            throw Self.mistake("it must begin with postgres://")
        }
        let rest = Substring(url.utf8.dropFirst(scheme.utf8.count))
        let (beforeQuery, query) = rest.cut(at: "?").map { ($0.before, Optional($0.after)) } ?? (rest, nil)
        let (authority, path) =
            beforeQuery.cut(at: "/").map { ($0.before, Optional($0.after)) } ?? (beforeQuery, nil)
        let (credentials, hosts) = Self.splitCredentials(authority)
        let (user, password) =
            credentials.cut(at: ":").map { ($0.before, Optional($0.after)) } ?? (credentials, nil)
        guard !user.isEmpty else { throw Self.mistake("it has no user; write postgres://user:password@host/database") }
        self.init(user: try Self.decode(user, "the user"))
        self.password = try password.map { Secret(try Self.decode($0, "the password")) }
        if let path, !path.isEmpty {
            guard path.cut(at: "/") == nil else { throw Self.mistake("the name of the database has a \"/\"") }
            database = try Self.decode(path, "the name of the database")
        }
        self.hosts = hosts.isEmpty ? [] : try hosts.split(at: ",", omittingEmpty: false).map(Self.host)
        for parameter in query?.split(at: "&") ?? [] {
            guard let (name, value) = parameter.cut(at: "=") else {
                throw Self.mistake("the parameter \"\(parameter)\" has no value")
            }
            try set(String(name), try Self.decode(value, "the parameter \(name)"))
        }
        guard !self.hosts.isEmpty else { throw Self.mistake("it has no host; write postgres://user@host/database") }
        guard (clientCertificate == nil) == (clientKey == nil) else {
            throw Self.mistake("sslcert and sslkey must be given together")
        }
    }

    private static func mistake(_ text: String) -> AppError {
        AppError(.invalidArgument, "The URL of the Postgres database is not valid: \(text).")
    }

    private static func splitCredentials(_ authority: Substring) -> (credentials: Substring, hosts: Substring) {
        guard let index = authority.utf8.lastIndex(of: UInt8(ascii: "@")) else { return ("", authority) }
        return (authority[..<index], authority[authority.utf8.index(after: index)...])
    }

    private static func host(_ text: Substring) throws -> Host {
        var (name, portText) = (text, Substring?.none)
        if text.starts(withBytesOf: "[") {
            guard let (address, rest) = text.dropFirst().cut(at: "]") else { throw mistake("\"\(text)\" has no \"]\"") }
            name = address
            guard rest.isEmpty || rest.starts(withBytesOf: ":") else { throw mistake("\"\(text)\" is not a host") }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let (before, after) = text.cut(at: ":") {
            (name, portText) = (before, after)
        }
        let host = try decode(name, "the host")
        guard !host.isEmpty else { throw mistake("a host is empty") }
        var port = 5432
        if let portText {
            guard let number = Int(portText), (1...65535).contains(number) else {
                throw mistake("the port \"\(portText)\" is not a number from 1 to 65535")
            }
            port = number
        }
        return host.starts(withBytesOf: "/") ? .unixSocket(folder: host, port: port) : .tcp(host, port: port)
    }

    private mutating func set(_ name: String, _ value: String) throws {
        switch name {
        case "sslmode": tls = try Self.choice(name, value)
        case "sslrootcert": rootCertificate = value
        case "sslcert": clientCertificate = value
        case "sslkey": clientKey = value
        case "channel_binding": channelBinding = try Self.choice(name, value)
        case "target_session_attrs": targetSession = try Self.choice(name, value)
        case "direct_host":
            directHosts = try value.split(separator: ",", omittingEmptySubsequences: false).map(Self.host)
        case "application_name": applicationName = value
        case "connect_timeout": connectTimeout = .seconds(try Self.number(name, value, 1...3600))
        case "statement_timeout": statementTimeout = try Self.duration(name, value)
        case "pool_size": poolSize = try Self.number(name, value, 1...10_000)
        case "shared_connections": sharedConnections = try Self.number(name, value, 1...64)
        case "plan_cache_mode": planCacheMode = value
        case "host":
            guard value.starts(withBytesOf: "/") else { throw Self.mistake("host must be the folder of a Unix socket") }
            hosts.append(.unixSocket(folder: value, port: 5432))
        case "prepare":
            guard value == "on" || value == "off" else { throw Self.mistake("prepare must be on or off") }
            preparesStatements = value == "on"
        default: throw Self.mistake("the parameter \"\(name)\" is not known")
        }
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, _ value: String
    ) throws -> Choice {
        guard let choice = Choice(rawValue: value) else {
            let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw mistake("\(name) is \"\(value)\", but must be one of \(choices)")
        }
        return choice
    }

    private static func number(_ name: String, _ value: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let number = Int(value), range.contains(number) else {
            throw mistake(
                "\(name) is \"\(value)\", but must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func duration(_ name: String, _ value: String) throws -> Duration {
        let units: [(String, Duration)] = [
            ("ms", .milliseconds(1)), ("min", .seconds(60)), ("s", .seconds(1)), ("", .milliseconds(1)),
        ]
        for (unit, duration) in units where value.ends(withBytesOf: unit) {
            guard let count = Int(value.dropLast(unit.utf8.count)), (1...86_400_000).contains(count) else { break }
            return duration * count
        }
        throw mistake("\(name) is \"\(value)\", but must be a duration such as 30s or 500ms")
    }

    /// Decodes percent-encoding.
    private static func decode(_ text: Substring, _ what: String) throws -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(Substring(rest.prefix(2))), radix: 16) else {
                throw mistake("\(what) has a \"%\" that is not followed by two hexadecimal digits")
            }
            bytes.append(value)
            rest.removeFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw mistake("\(what) is not text in UTF-8")
        }
        return decoded
    }
}
