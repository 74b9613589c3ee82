import ApusData
import Synchronization

/// The transaction that the closure of a change sees. If its group could not be committed, the closure runs again, in
/// another transaction.
final class PendingChange: Sendable {
    private let ambient = Mutex<AmbientTransaction?>(nil)

    func begin(_ transaction: AmbientTransaction) {
        let previous = ambient.withLock { ambient in
            defer { ambient = transaction }
            return ambient
        }
        previous?.rolledBack()
    }

    /// Ends the transaction.
    /// - Returns: The actions to run after the commit.
    func committed() -> [@Sendable () -> Void] { ambient.withLock { $0.take() }?.committed() ?? [] }

    func rolledBack() { ambient.withLock { $0.take() }?.rolledBack() }
}
