import ApusCore

/// The parts of a Redis URL.
///
/// Errors do not repeat parts of the URL: any of them is part of the password if that is not percent-encoded.
struct RedisURL {
    enum Kind { case single, unix, sentinel, cluster }

    let kind: Kind
    let isEncrypted: Bool
    private(set) var user: String?
    private(set) var password: Secret<String>?
    private(set) var hosts: [RedisEndpoint] = []
    /// The segments of the path.
    private(set) var path: [String] = []
    private(set) var socketPath = ""
    private(set) var queryDatabase: Int?

    private static let schemes: [(name: String, kind: Kind, isEncrypted: Bool)] = [
        ("redis", .single, false), ("rediss", .single, true), ("redis+unix", .unix, false), ("unix", .unix, false),
        ("redis+sentinel", .sentinel, false), ("rediss+sentinel", .sentinel, true),
        ("redis+cluster", .cluster, false), ("rediss+cluster", .cluster, true),
    ]

    /// - Throws: An `AppError` with code `invalidArgument`.
    init(_ url: String) throws {
        guard let (scheme, afterScheme) = url.cut(at: ":"), afterScheme.starts(withBytesOf: "//") else {
            throw Self.invalid("has no scheme. It begins with redis:// or rediss://")
        }
        guard let known = Self.schemes.first(where: { scheme.asciiLowercased.isExactly($0.name) }) else {
            let names = Self.schemes.map(\.name).joined(separator: ", ")
            throw Self.invalid("has the unknown scheme \"\(scheme)\". The schemes are \(names)")
        }
        (kind, isEncrypted) = (known.kind, known.isEncrypted)
        var rest = Substring(afterScheme.utf8.dropFirst(2))
        guard !rest.utf8.contains(UInt8(ascii: "#")) else {
            throw Self.invalid("has a fragment. In a password, # is written as %23")
        }
        if let (before, query) = rest.cut(at: "?") {
            rest = before
            queryDatabase = try Self.database(inQuery: query)
        }
        if kind == .unix {
            // A password may precede the path.
            let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            try readUserInfo(rest[..<slash])
            socketPath = try Self.decoded(rest[slash...], "path")
            guard socketPath.utf8.count > 1 else {
                throw Self.invalid("names no socket. Its form is redis+unix:///path/to/socket")
            }
            return
        }
        let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        try readAuthority(rest[..<slash])
        if slash < rest.endIndex {
            let segments = rest[slash...].dropFirst()
            path =
                try segments.isEmpty
                ? [] : segments.split(at: "/", omittingEmpty: false).map { try Self.decoded($0, "path") }
        }
    }

    private mutating func readAuthority(_ authority: Substring) throws {
        var hostList = authority
        if let at = authority.utf8.lastIndex(of: UInt8(ascii: "@")) {
            try readUserInfo(authority[...at])
            hostList = authority[authority.utf8.index(after: at)...]
        }
        guard !hostList.isEmpty else { throw Self.invalid("names no host") }
        let defaultPort = kind == .sentinel ? 26_379 : 6379
        hosts = try hostList.split(at: ",", omittingEmpty: false).map { try Self.host($0, defaultPort) }
    }

    /// Reads `user:password@`. Without a colon, the text is the user, as in other URLs, and the password is missing.
    private mutating func readUserInfo(_ text: Substring) throws {
        guard !text.isEmpty else { return }
        guard text.ends(withBytesOf: "@") else {
            throw Self.invalid(
                "has a host where only a password may be. The path begins with a third slash")
        }
        guard let (user, password) = text.dropLast().cut(at: ":") else {
            throw Self.invalid(
                "has a user without a password. The password follows a colon, as in redis://:password@host")
        }
        self.user = user.isEmpty ? nil : try Self.decoded(user, "user")
        let decoded = try Self.decoded(password, "password")
        guard !decoded.isEmpty || user.isEmpty else { throw Self.invalid("has a user with an empty password") }
        self.password = decoded.isEmpty ? nil : Secret(decoded)
    }

    private static func host(_ text: Substring, _ defaultPort: Int) throws -> RedisEndpoint {
        guard !text.isEmpty else { throw invalid("has an empty host in its list") }
        var host = text
        var port: Substring?
        if text.starts(withBytesOf: "[") {
            guard let (address, after) = text.dropFirst().cut(at: "]") else {
                throw invalid("has an IPv6 address without a closing bracket")
            }
            host = address
            guard after.isEmpty || after.starts(withBytesOf: ":") else {
                throw invalid("has something after an IPv6 address, where only a port may be")
            }
            port = after.isEmpty ? nil : after.dropFirst()
        } else if let (before, after) = text.cut(at: ":") {
            guard !after.utf8.contains(UInt8(ascii: ":")) else {
                throw invalid("has an IPv6 address without brackets. Write it as [::1]:6379")
            }
            (host, port) = (before, after)
        }
        guard !host.isEmpty else { throw invalid("has a port without a host") }
        guard let port else { return .tcp(host: try decoded(host, "host"), port: defaultPort) }
        guard let number = Int(port), (1...65_535).contains(number) else {
            throw invalid(
                "has a port that is not a number from 1 to 65535. In a password, / is written as %2F, and @ follows it")
        }
        return .tcp(host: try decoded(host, "host"), port: number)
    }

    private static func database(inQuery query: Substring) throws -> Int? {
        var database: Int?
        for parameter in query.split(at: "&") {
            guard let (name, value) = parameter.cut(at: "="), name.isExactly("db") else {
                throw invalid(
                    "has an unknown parameter. The only one is db, the number of the database. In a password, ? is "
                        + "written as %3F")
            }
            database = try number(value)
        }
        return database
    }

    /// The number of the database in a segment of the path.
    func database(_ segment: String?) throws -> Int {
        guard let segment, !segment.isEmpty else { return 0 }
        return try Self.number(segment)
    }

    private static func number(_ text: some StringProtocol) throws -> Int {
        guard let number = Int(text), (0...1_000_000).contains(number) else {
            throw invalid("has a database that is not a number from 0. In a password, / is written as %2F")
        }
        return number
    }

    func requirePath(atMost count: Int, _ form: String) throws {
        guard path.count <= count || path.dropFirst(count).allSatisfy(\.isEmpty) else {
            throw Self.invalid("has a path that is too long. Its form is \(form)")
        }
    }

    private static func decoded(_ text: some StringProtocol, _ part: String) throws -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, digits.utf8.first != UInt8(ascii: "+"), let value = UInt8(digits, radix: 16)
            else {
                throw invalid("has a % in its \(part) that is not followed by two hexadecimal digits. Write % as %25")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw invalid("has a \(part) that is not UTF-8")
        }
        return decoded
    }

    static func invalid(_ problem: String) -> AppError { AppError(.invalidArgument, "The Redis URL \(problem).") }
}
