public import ApusCore
import ApusJSON
import Crypto
import FoundationEssentials
import JWTKit

extension JWT {
    /// A set of keys. Tokens are signed with one key and verified with all, so that keys can be rotated while tokens
    /// signed with the old key are still valid.
    public final class KeySet: Signer, Verifier {
        private let issuer: String
        private let audience: String
        private let signingKey: Key
        private let algorithms: [ExactString: String]
        public let leeway: Duration
        private let clock: any WallClock
        private let collection: Task<JWTKeyCollection, Never>

        /// Creates a key set.
        /// - Parameters:
        ///   - issuer: The issuer of signed tokens, required in verified tokens.
        ///   - audience: The audience of signed tokens, required in verified tokens.
        ///   - signing: The key that new tokens are signed with.
        ///   - accepting: Additional keys whose tokens are accepted.
        ///   - leeway: The tolerated difference between the clocks of two machines. 30 seconds by default.
        ///   - clock: The clock that times are checked with.
        /// - Throws: An `AppError` with code `invalidArgument` if a key is too short or malformed, or if two keys have
        ///   the same ID.
        public init(
            issuer: String, audience: String, signing: Key, accepting: [Key] = [], leeway: Duration = .seconds(30),
            clock: any WallClock = SystemClock()
        ) throws {
            self.issuer = issuer
            self.audience = audience
            signingKey = signing
            self.leeway = leeway
            self.clock = clock
            let keys = [signing] + accepting
            var algorithms: [ExactString: String] = [:]
            for key in keys {
                guard algorithms.updateValue(key.algorithm, forKey: ExactString(key.id)) == nil else {
                    throw AppError(
                        .invalidArgument,
                        "Two JWT keys have the ID \"\(key.id)\". Every key, even a retired one, needs a unique ID."
                    )
                }
            }
            self.algorithms = algorithms
            let registrations = try keys.map(Self.registration)
            collection = Task {
                let collection = JWTKeyCollection()
                for register in registrations { await register(collection) }
                return collection
            }
        }

        public func sign(_ claims: Claims) async throws -> String {
            var claims = claims
            claims.issuer = issuer
            claims.audiences = [audience]
            claims.issuedAt = clock.now
            var header = JWTHeader()
            header.typ = "at+jwt"
            return try await collection.value.sign(
                Payload(claims: claims), kid: JWKIdentifier(string: signingKey.id), header: header)
        }

        public func verify(_ token: String) async throws -> Claims {
            try checkHeader(token)
            let claims: Claims
            do {
                _ = try await collection.value.verify(token, as: AnyPayload.self)
                // Decoded here, because other decoders accept duplicate claims and use one of them.
                let payload = Data(base64URL: token.split(at: ".")[1]) ?? Data()
                claims = try JSON.Decoder.standard.decode(Claims.self, from: payload)
            } catch {
                throw Self.invalidToken("The token's signature or claims are invalid.", cause: error)
            }
            guard claims.issuer.isExactly(issuer), claims.audiences.containsExactly(audience) else {
                throw Self.invalidToken("The token has another issuer or audience.")
            }
            let now = clock.now
            guard claims.expiresAt.addingTimeInterval(leeway.seconds) > now else {
                throw Self.invalidToken("The token has expired.", reason: .tokenExpired)
            }
            if let notBefore = claims.notBefore, notBefore.addingTimeInterval(-leeway.seconds) > now {
                throw Self.invalidToken("The token is not valid yet.")
            }
            return claims
        }

        /// Checks the header of a token.
        ///
        /// It must contain the ID of a key of the set, the algorithm of that key, and the type of access tokens (RFC
        /// 9068 §4). No extensions are supported, so headers with critical extensions (RFC 7515 §4.1.11) or `b64` (RFC
        /// 7797 §6) are invalid.
        private func checkHeader(_ token: String) throws {
            let parts = token.split(at: ".", omittingEmpty: false)
            guard token.utf8.count <= 8192, parts.count == 3, parts.allSatisfy(\.isBase64URL),
                let json = Data(base64URL: parts[0]),
                let header = try? JSON.Decoder.standard.decode(JSON.Value.self, from: json),
                case .string(let algorithm)? = header["alg"], case .string(let type)? = header["typ"],
                case .string(let id)? = header["kid"]
            else { throw Self.invalidToken("The token is malformed.") }
            guard header["crit"] == nil, header["b64"] == nil else {
                throw Self.invalidToken("The token's header has an unsupported extension.")
            }
            guard let expected = algorithms[ExactString(id)], algorithm.isExactly(expected), Self.isAccessToken(type)
            else {
                throw Self.invalidToken("The token's key, algorithm or type is not accepted.")
            }
        }

        /// Returns whether a type is that of access tokens. The prefix `application/` is optional (RFC 7515 §4.1.9).
        private static func isAccessToken(_ type: String) -> Bool {
            let type = type.asciiLowercased
            return type.isExactly("at+jwt") || type.isExactly("application/at+jwt")
        }

        private static func invalidToken(
            _ message: String, reason: AppError.Reason? = nil, cause: (any Error)? = nil
        ) -> AppError {
            var error = AppError(.unauthenticated, message, reason: reason, cause: cause)
            error.details.metadata["www-authenticate"] = "Bearer error=\"invalid_token\""
            return error
        }

        /// Returns a closure that adds a key to a collection.
        /// - Throws: An `AppError` with code `invalidArgument` if the key is too short or malformed.
        private static func registration(of key: Key) throws -> @Sendable (JWTKeyCollection) async -> Void {
            let kid = JWKIdentifier(string: key.id)
            let serializer = DefaultJWTSerializer(jsonEncoder: ClaimsEncoder())
            do {
                switch key.material {
                case .hs256(let secret):
                    guard secret.reveal().utf8.count >= 32 else {
                        throw AppError(
                            .invalidArgument, "The secret of the HS256 key \"\(key.id)\" must have at least 32 bytes.")
                    }
                    let hmac = HMACKey(from: secret.reveal())
                    return { await $0.add(hmac: hmac, digestAlgorithm: .sha256, kid: kid, serializer: serializer) }
                case .ed25519Private(let pem):
                    let key = try EdDSA.PrivateKey(pem: pem.reveal())
                    return { await $0.add(eddsa: key, kid: kid, serializer: serializer) }
                case .ed25519Public(let pem):
                    let key = try EdDSA.PublicKey(pem: pem)
                    return { await $0.add(eddsa: key, kid: kid, serializer: serializer) }
                }
            } catch let error as AppError {
                throw error
            } catch {
                throw AppError(
                    .invalidArgument, "The key \"\(key.id)\" is not an Ed25519 key in PEM format.", cause: error)
            }
        }
    }

    /// Encodes claims. Foundation's encoder drops one of two claims whose names are canonically equivalent.
    private struct ClaimsEncoder: JWTJSONEncoder {
        func encode<Value: Encodable>(_ value: Value) throws -> Data { Data(try JSON.Encoder.standard.encode(value)) }
    }

    /// A payload of which only the signature is verified.
    private struct AnyPayload: JWTPayload {
        func verify(using algorithm: some JWTAlgorithm) {}
    }

    private struct Payload: JWTPayload {
        let claims: Claims

        init(claims: Claims) { self.claims = claims }
        init(from decoder: any Decoder) throws { claims = try Claims(from: decoder) }
        func encode(to encoder: any Encoder) throws { try claims.encode(to: encoder) }
        /// Does nothing: ``KeySet/verify(_:)`` checks times, issuer and audience.
        func verify(using algorithm: some JWTAlgorithm) {}
    }
}

extension Substring {
    /// Whether the text is base64url without padding, and the only such text for its bytes (RFC 7515 §2, RFC 4648 §3.5):
    /// otherwise, a token could be changed without becoming invalid.
    fileprivate var isBase64URL: Bool {
        guard utf8.allSatisfy({ Self.value(of: $0) != nil }) else { return false }
        let last = utf8.last.flatMap(Self.value) ?? 0
        return switch utf8.count % 4 {
        case 0: true
        case 2: last & 0xF == 0
        case 3: last & 0x3 == 0
        default: false
        }
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}

extension Data {
    /// Decodes base64url (RFC 4648 §5), without padding.
    fileprivate init?(base64URL text: Substring) {
        let base64 = text.replacing(["-": "+", "_": "/"])
        self.init(base64Encoded: base64 + String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4))
    }
}
