public import ApusCore
import Crypto
import FoundationEssentials
import JWTKit

extension JWT {
    /// Signs with one key and verifies with all, so that keys can be exchanged while tokens of the old one still live.
    public final class KeySet: Signer, Verifier {
        private let issuer: String
        private let audience: String
        private let signing: Key
        private let algorithms: [String: String]
        private let leeway: Duration
        private let clock: any WallClock
        private let prepared: Task<JWTKeyCollection, Never>

        /// - Parameters:
        ///   - issuer: Written into tokens, and demanded of them.
        ///   - audience: Written into tokens, and demanded of them.
        ///   - signing: The key that new tokens are signed with.
        ///   - accepting: Further keys whose tokens are still trusted.
        ///   - leeway: How far the clocks of two machines may differ. 30 seconds.
        /// - Throws: An `AppError` of code `invalidArgument` for a key that is too short or malformed.
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
            algorithms = Dictionary(keys.map { ($0.id, $0.algorithm) }) { first, _ in first }
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
            claims.audience = audience
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
                claims = try await prepared.value.verify(token, as: Payload.self).claims
            } catch {
                throw Self.refused("The token is not one of ours.", cause: error)
            }
            guard claims.issuer == issuer, claims.audience == audience else {
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

        /// The header must name a key of ours with the algorithm of that key, and be an access token's (RFC 9068 §4).
        private func checkHeader(_ token: String) throws {
            guard token.utf8.count <= 8192, let encoded = token.split(separator: ".").first,
                let json = Data(base64URL: encoded), let header = try? JSONDecoder().decode(Header.self, from: json)
            else { throw Self.refused("The token is malformed.") }
            guard let algorithm = algorithms[header.kid ?? ""], header.alg == algorithm,
                header.typ.lowercased() == "at+jwt"
            else { throw Self.refused("The token is not one of ours.") }
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

    private struct Header: Decodable {
        let alg: String
        let typ: String
        let kid: String?
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
        var base64 = text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        base64 += Array(repeating: "=", count: (4 - base64.count % 4) % 4)
        self.init(base64Encoded: String(base64))
    }
}
