public import ApusCore
import ApusJSON
import Crypto
import FoundationEssentials
import JWTKit

extension JWT {
    /// Signs with one key and verifies with all, so that keys can be exchanged while tokens of the old one still live.
    public final class KeySet: Signer, Verifier {
        private let issuer: String
        private let audience: String
        private let signing: Key
        private let algorithms: [ExactString: String]
        private let leeway: Duration
        private let clock: any WallClock
        private let prepared: Task<JWTKeyCollection, Never>

        /// - Parameters:
        ///   - issuer: Written into tokens, and demanded of them.
        ///   - audience: Written into tokens, and demanded of them.
        ///   - signing: The key that new tokens are signed with.
        ///   - accepting: Further keys whose tokens are still trusted.
        ///   - leeway: How far the clocks of two machines may differ. 30 seconds.
        /// - Throws: An `AppError` of code `invalidArgument` for a key that is too short or malformed, or when two keys have the same
        ///   id.
        public init(
            issuer: String, audience: String, signing: Key, accepting: [Key] = [], leeway: Duration = .seconds(30),
            clock: any WallClock = SystemClock()
        ) throws {
            self.issuer = issuer
            self.audience = audience
            self.signing = signing
            self.leeway = leeway
            self.clock = clock
            let keys = [signing] + accepting
            var algorithms: [ExactString: String] = [:]
            for key in keys {
                guard algorithms.updateValue(key.algorithm, forKey: ExactString(key.id)) == nil else {
                    throw AppError(
                        .invalidArgument,
                        "Two JWT keys have the id \"\(key.id)\": a token's `kid` must name one key, and a retired key needs an id of its own."
                    )
                }
            }
            self.algorithms = algorithms
            let adders = try keys.map(Self.adder)
            prepared = Task {
                let collection = JWTKeyCollection()
                for add in adders { await add(collection) }
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
            return try await prepared.value.sign(
                Payload(claims: claims), kid: JWKIdentifier(string: signing.id), header: header)
        }

        public func verify(_ token: String) async throws -> Claims {
            try checkHeader(token)
            let claims: Claims
            do {
                _ = try await prepared.value.verify(token, as: AnyPayload.self)
                // Read here, because other coders take one of two claims of a name.
                let payload = Data(base64URL: token.split(at: ".")[1]) ?? Data()
                claims = try JSON.Decoder.standard.decode(Claims.self, from: payload)
            } catch {
                throw Self.refused("The token is not one of ours.", cause: error)
            }
            guard claims.issuer.isExactly(issuer), claims.audiences.containsExactly(audience) else {
                throw Self.refused("The token is for someone else.")
            }
            let now = clock.now
            guard claims.expiresAt.addingTimeInterval(leeway.seconds) > now else {
                throw Self.refused("The token has expired.", reason: .tokenExpired)
            }
            if let notBefore = claims.notBefore, notBefore.addingTimeInterval(-leeway.seconds) > now {
                throw Self.refused("The token is not valid yet.")
            }
            return claims
        }

        /// The header must name a key of ours with the algorithm of that key, and be an access token's (RFC 9068 §4). No extension
        /// is understood, so a header that has critical ones is invalid (RFC 7515 §4.1.11), and so is one with `b64` (RFC 7797 §6).
        private func checkHeader(_ token: String) throws {
            guard token.utf8.count <= 8192, let encoded = token.split(at: ".", omittingEmpty: false).first,
                let json = Data(base64URL: encoded),
                let header = try? JSON.Decoder.standard.decode(JSON.Value.self, from: json),
                case .string(let algorithm)? = header["alg"], case .string(let type)? = header["typ"],
                case .string(let id)? = header["kid"]
            else { throw Self.refused("The token is malformed.") }
            guard header["crit"] == nil, header["b64"] == nil else {
                throw Self.refused("The token's header has an extension that is not supported.")
            }
            guard let expected = algorithms[ExactString(id)], algorithm.isExactly(expected), Self.isAccessToken(type)
            else {
                throw Self.refused("The token is not one of ours.")
            }
        }

        /// The media type of access tokens, whose `application/` may be left out (RFC 7515 §4.1.9).
        private static func isAccessToken(_ type: String) -> Bool {
            let type = type.asciiLowercased
            return type.isExactly("at+jwt") || type.isExactly("application/at+jwt")
        }

        private static func refused(
            _ message: String, reason: AppError.Reason? = nil, cause: (any Error)? = nil
        ) -> AppError {
            var error = AppError(.unauthenticated, message, reason: reason, cause: cause)
            error.details.metadata["www-authenticate"] = "Bearer error=\"invalid_token\""
            return error
        }

        private static func adder(_ key: Key) throws -> @Sendable (JWTKeyCollection) async -> Void {
            let kid = JWKIdentifier(string: key.id)
            do {
                switch key.material {
                case .hs256(let secret):
                    guard secret.reveal().utf8.count >= 32 else {
                        throw AppError(.invalidArgument, "The HS256 secret \(key.id) must have at least 32 bytes.")
                    }
                    let hmac = HMACKey(from: secret.reveal())
                    return { await $0.add(hmac: hmac, digestAlgorithm: .sha256, kid: kid) }
                case .ed25519Private(let pem):
                    let key = try EdDSA.PrivateKey(pem: pem.reveal())
                    return { await $0.add(eddsa: key, kid: kid) }
                case .ed25519Public(let pem):
                    let key = try EdDSA.PublicKey(pem: pem)
                    return { await $0.add(eddsa: key, kid: kid) }
                }
            } catch let error as AppError {
                throw error
            } catch {
                throw AppError(.invalidArgument, "The key \(key.id) is not a PEM of Ed25519.", cause: error)
            }
        }
    }

    /// A payload whose signature alone is looked at.
    private struct AnyPayload: JWTPayload {
        func verify(using algorithm: some JWTAlgorithm) {}
    }

    private struct Payload: JWTPayload {
        let claims: Claims

        init(claims: Claims) { self.claims = claims }
        init(from decoder: any Decoder) throws { claims = try Claims(from: decoder) }
        func encode(to encoder: any Encoder) throws { try claims.encode(to: encoder) }
        /// Times, issuer and audience are checked where the clock is.
        func verify(using algorithm: some JWTAlgorithm) {}
    }
}

extension Data {
    /// Base64 in the alphabet of RFC 4648 §5, without padding.
    fileprivate init?(base64URL text: Substring) {
        guard !text.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/") }) else { return nil }
        let base64 = text.replacing(["-": "+", "_": "/"])
        self.init(base64Encoded: base64 + String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4))
    }
}
