import ApusCore
public import ApusJSON
public import FoundationEssentials

extension JWT {
    /// The claims of a token (RFC 7519 §4.1).
    public struct Claims: Sendable, Equatable {
        /// The subject of the token (`sub`).
        public var subject: String
        /// The issuer of the token (`iss`). Set by the signer.
        public var issuer = ""
        /// The recipients of the token, one or more (`aud`, RFC 7519 §4.1.3). Set by the signer.
        public var audiences: [String] = []
        /// The time at which the token was issued (`iat`). Set by the signer.
        public var issuedAt = Date(timeIntervalSince1970: 0)
        /// The time from which the token is no longer valid (`exp`).
        public var expiresAt: Date
        /// The time before which the token is not valid (`nbf`).
        public var notBefore: Date?
        /// The ID of the token (`jti`).
        public var id: String?
        /// The other claims: an object.
        public var custom: JSON.Value = [:]

        /// Creates the claims of a token to sign.
        public init(subject: String, expiresAt: Date, custom: JSON.Value = [:]) {
            self.subject = subject
            self.expiresAt = expiresAt
            self.custom = custom
        }
    }
}

extension JWT.Claims: Codable {
    private struct Key: CodingKey, Hashable {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    private static let registeredNames: Set<String> = ["sub", "iss", "aud", "iat", "exp", "nbf", "jti"]

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        func date(_ name: String) throws -> Date? {
            try container.decodeIfPresent(Double.self, forKey: Key(name)).map { Date(timeIntervalSince1970: $0) }
        }
        guard let expiresAt = try date("exp") else {
            throw DecodingError.keyNotFound(
                Key("exp"), .init(codingPath: [], debugDescription: "A token must have an expiration time (exp)."))
        }
        subject = try container.decode(String.self, forKey: Key("sub"))
        issuer = try container.decodeIfPresent(String.self, forKey: Key("iss")) ?? ""
        audiences = try Self.audiences(in: container)
        issuedAt = try date("iat") ?? Date(timeIntervalSince1970: 0)
        self.expiresAt = expiresAt
        notBefore = try date("nbf")
        id = try container.decodeIfPresent(String.self, forKey: Key("jti"))
        for key in container.allKeys where !Self.registeredNames.containsExactly(key.stringValue) {
            custom[key.stringValue] = try container.decode(JSON.Value.self, forKey: key)
        }
    }

    private static func audiences(in container: KeyedDecodingContainer<Key>) throws -> [String] {
        guard container.contains(Key("aud")) else { return [] }
        if let one = try? container.decode(String.self, forKey: Key("aud")) { return [one] }
        return try container.decode([String].self, forKey: Key("aud"))
    }

    /// - Throws: An `EncodingError` if a time is not a number of seconds that fits in 64 bits, or if ``custom`` is not an
    ///   object.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        func encode(_ date: Date, _ name: String) throws {
            guard let seconds = Int(exactly: date.timeIntervalSince1970.rounded(.towardZero)) else {
                // Not the date itself: Foundation traps when it describes such a date.
                throw EncodingError.invalidValue(
                    date.timeIntervalSince1970,
                    .init(
                        codingPath: encoder.codingPath + [Key(name)],
                        debugDescription: "\(name) must be a number of seconds that fits in 64 bits."))
            }
            try container.encode(seconds, forKey: Key(name))
        }
        guard case .object(let members) = custom else {
            throw EncodingError.invalidValue(
                custom, .init(codingPath: encoder.codingPath, debugDescription: "Custom claims must be an object."))
        }
        for member in members where !Self.registeredNames.containsExactly(member.name) {
            try container.encode(member.value, forKey: Key(member.name))
        }
        try container.encode(subject, forKey: Key("sub"))
        try container.encode(issuer, forKey: Key("iss"))
        if audiences.count == 1 {
            try container.encode(audiences[0], forKey: Key("aud"))
        } else {
            try container.encode(audiences, forKey: Key("aud"))
        }
        try encode(issuedAt, "iat")
        try encode(expiresAt, "exp")
        if let notBefore { try encode(notBefore, "nbf") }
        try container.encodeIfPresent(id, forKey: Key("jti"))
    }
}
