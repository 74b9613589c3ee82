public import ApusCore

/// JSON Web Tokens. Signing and verification are protocols, so that tests and other providers can replace them.
public enum JWT {
    /// Signs tokens.
    public protocol Signer: Sendable {
        /// Returns a signed token with the given claims.
        /// - Throws: An error if a claim cannot be encoded, such as a time that is not a number.
        func sign(_ claims: Claims) async throws -> String
    }

    /// Verifies tokens.
    public protocol Verifier: Sendable {
        /// The tolerated difference between the clocks of two machines. A token is accepted for this long after its
        /// expiration time.
        var leeway: Duration { get }

        /// Verifies the signature, issuer, audience and times of a token and returns its claims.
        /// - Throws: An `AppError` with code `unauthenticated` if the token is invalid.
        func verify(_ token: String) async throws -> Claims
    }

    /// A key to sign or verify tokens with. The algorithm is determined by the key and not by the token.
    public struct Key: Sendable {
        enum Material: Sendable {
            case hs256(Secret<String>)
            case ed25519Private(Secret<String>)
            case ed25519Public(String)
        }

        /// The ID of the key in the header of a token (`kid`).
        public let id: String
        let material: Material

        /// Returns a shared secret for HMAC with SHA-256, of at least 32 bytes.
        public static func hs256(id: String, secret: Secret<String>) -> Key { Key(id: id, material: .hs256(secret)) }

        /// Returns an Ed25519 private key in PEM format (PKCS #8), for signing and verification.
        public static func ed25519(id: String, privatePEM: Secret<String>) -> Key {
            Key(id: id, material: .ed25519Private(privatePEM))
        }

        /// Returns an Ed25519 public key in PEM format, for verification only.
        public static func ed25519(id: String, publicPEM: String) -> Key {
            Key(id: id, material: .ed25519Public(publicPEM))
        }

        var algorithm: String {
            switch material {
            case .hs256: "HS256"
            case .ed25519Private, .ed25519Public: "EdDSA"
            }
        }
    }
}
