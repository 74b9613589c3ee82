public import ApusCore

/// Turns passwords into what may be stored, and compares.
public protocol PasswordHasher: Sendable {
    /// A hash that holds its own salt and parameters.
    /// - Throws: An `AppError` of code `unavailable` when too many are being made already.
    func hash(_ password: Secret<String>) async throws -> String

    /// Whether a password is the one that a hash was made of.
    ///
    /// Give `nil` for an account that does not exist: the answer is `false` and takes as long as any other, so that nobody
    /// can find out which accounts there are.
    func verify(_ password: Secret<String>, against hash: String?) async throws -> Bool

    /// Whether a hash was made at another cost than new ones are: make a new one when its owner next logs in, while the password
    /// is at hand.
    func needsRehash(_ hash: String) -> Bool
}
