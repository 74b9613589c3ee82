public import ApusCore

/// Hashes passwords for storage and verifies passwords against hashes.
public protocol PasswordHasher: Sendable {
    /// Returns a hash of a password, which includes its salt and parameters.
    /// - Throws: An `AppError` with code `unavailable` if too many hashes are being computed.
    func hash(_ password: Secret<String>) async throws -> String

    /// Returns whether a password matches a hash.
    ///
    /// Pass `nil` for an account that does not exist: the result is `false` after the usual time, so that the response
    /// time does not reveal which accounts exist.
    func verify(_ password: Secret<String>, against hash: String?) async throws -> Bool

    /// Returns whether a hash has a different cost than new hashes. If so, store a new hash at the next login, when the
    /// password is available.
    func needsRehash(_ hash: String) -> Bool
}
