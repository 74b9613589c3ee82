public import ApusCore

/// JSON Web Tokens: signing and verifying, each behind a protocol, so that tests and other providers can take their place.
public enum JWT {
    /// Makes tokens.
    public protocol Signer: Sendable {
        /// A signed token that says what the claims say.
        func sign(_ claims: Claims) async throws -> String
    }

    /// Trusts or refuses tokens.
    public protocol Verifier: Sendable {
        /// What a token says, if its signature, issuer, audience and times are right.
        /// - Throws: An `AppError` of code `unauthenticated`.
        func verify(_ token: String) async throws -> Claims
    }

    /// A key to sign or verify with. The algorithm belongs to the key: a token cannot choose it.
    public struct Key: Sendable {
        enum Material: Sendable {
            case hs256(Secret<String>)
            case ed25519Private(Secret<String>)
            case ed25519Public(String)
        }

        /// The key's name in a token's header (`kid`).
        public let id: String
        let material: Material

        /// A shared secret for HMAC with SHA-256, of 32 bytes at least.
        public static func hs256(id: String, secret: Secret<String>) -> Key { Key(id: id, material: .hs256(secret)) }

        /// An Ed25519 private key, PEM (PKCS #8). Signs, and verifies what it signed.
        public static func ed25519(id: String, privatePEM: Secret<String>) -> Key {
            Key(id: id, material: .ed25519Private(privatePEM))
        }

        /// An Ed25519 public key, PEM. Only verifies.
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
