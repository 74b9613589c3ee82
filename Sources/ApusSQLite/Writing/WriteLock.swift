import ApusCore
import Foundation
import GRDB
import Synchronization

/// Retries SQLite's write lock while another process holds it, as long as at least one of the operations is still
/// waiting and within its timeout.
///
/// Only the writer thread uses it; the mutex is there to satisfy the compiler.
final class WriteLock: Sendable {
    private struct State {
        var operations: [Operation] = []
        var attempts = 0
        /// Until when to wait without operations: while the connection is opened.
        var openingEnds: ContinuousClock.Instant?
    }

    private let timeout: Duration
    private let state: Mutex<State>

    /// Creates a lock.
    /// - Parameter timeout: The maximum time that an operation waits for the lock, counted from when it was enqueued,
    ///   so that the timeouts of queued operations run concurrently.
    init(timeout: Duration) {
        self.timeout = timeout
        state = Mutex(State(openingEnds: .now + timeout))
    }

    /// Runs a statement that acquires the lock, and waits for it on behalf of operations. Without operations, it does not
    /// wait.
    func acquire(for operations: [Operation], _ begin: () throws -> Void) throws {
        state.withLock { $0 = State(operations: operations) }
        defer { state.withLock { $0 = State() } }
        try begin()
    }

    /// Waits before the next attempt. SQLite calls this on the writer thread.
    /// - Returns: Whether to try again; `false`, without a wait, if no operation is waiting or all have timed out.
    func waitToRetry() -> Bool {
        let state = state.withLock { state in
            state.attempts += 1
            return state
        }
        let isOpening = state.openingEnds.map { $0 > .now } ?? false
        let isTimeLeft = state.operations.reduce(isOpening) { $1.isPending(within: timeout) || $0 }
        guard isTimeLeft else { return false }
        // 1, 2, 4 … 32 milliseconds. The first waits are short because most locks are held only briefly.
        Thread.sleep(forTimeInterval: Double(1 << min(state.attempts - 1, 5)) / 1000)
        return true
    }
}

extension Operation {
    /// Returns whether the operation still wants the lock. One that has waited for too long ends here, and does not wait
    /// on with the later ones of its group.
    fileprivate func isPending(within timeout: Duration) -> Bool {
        guard !isFinished else { return false }
        guard enqueuedAt.duration(to: .now) >= timeout else { return true }
        finishIfWaiting(
            AppError(
                .unavailable, "The database is locked by another process for longer than \(timeout).",
                cause: DatabaseError(resultCode: .SQLITE_BUSY)))
        return false
    }
}
