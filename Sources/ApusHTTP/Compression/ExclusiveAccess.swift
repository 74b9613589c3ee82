import ApusCore
import Synchronization

/// A guard that admits one task at a time and rejects others. It protects the state of the compression libraries.
final class ExclusiveAccess: Sendable {
    private let isActive = Atomic(false)

    /// Begins an access.
    /// - Parameter operation: The operation on the body, such as "read", for the error.
    /// - Throws: An `AppError` with code `internal` if another task has access.
    func begin(_ operation: String) throws {
        guard !isActive.exchange(true, ordering: .acquiring) else {
            throw AppError(.internal, "A compressed body may only be \(operation) by one task at a time.")
        }
    }

    func end() { isActive.store(false, ordering: .releasing) }
}
