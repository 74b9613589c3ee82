import ApusCore
import Synchronization

/// Lets one task in at a time, and refuses the others: for what a body is compressed with, whose state is libz's.
final class OneAtATime: Sendable {
    private let isOccupied = Atomic(false)

    /// - Throws: An `AppError` of code `internal` when somebody is in already.
    func enter(_ what: String) throws {
        guard !isOccupied.exchange(true, ordering: .acquiring) else {
            throw AppError(.internal, "\(what) by one task at a time.")
        }
    }

    func leave() { isOccupied.store(false, ordering: .releasing) }
}
