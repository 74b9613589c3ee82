import ApusCore
import Foundation
import Synchronization

/// Retries SQLite's write lock while another process holds it, as long as at least one of the operations is still
/// waiting and within its timeout.
///
/// Only the writer thread uses it; the mutex is there to satisfy the compiler.
final class WriteLock: Sendable {
    private struct State {
        var operations: [Operation] = []
        var attempts = 0
    }

    private let timeout: Duration
    private let state = Mutex(State())

    /// Creates a lock.
    /// - Parameter timeout: The maximum time that an operation waits for the lock, counted from when it was enqueued,
    ///   so that the timeouts of queued operations run concurrently.
    init(timeout: Duration) { self.timeout = timeout }

    /// Acquires the lock for waiting operations.
    func acquire(for operations: [Operation], _ begin: () throws -> Void) throws {
        state.withLock { $0 = State(operations: operations) }
        defer { state.withLock { $0 = State() } }
        try begin()
    }

    /// Waits before the next attempt. SQLite calls this on the writer thread.
    /// - Returns: Whether to try again; `false`, without a wait, if no operation is waiting or all have timed out.
    func waitToRetry() -> Bool {
        let (hasWaiter, attempts) = state.withLock { state in
            state.attempts += 1
            let hasWaiter = state.operations.contains { $0.isWaiting && $0.enqueuedAt.duration(to: .now) < timeout }
            return (hasWaiter, state.attempts)
        }
        guard hasWaiter else { return false }
        // 1, 2, 4 … 32 milliseconds. The first waits are short because most locks are held only briefly.
        Thread.sleep(forTimeInterval: Double(1 << min(attempts - 1, 5)) / 1000)
        return true
    }
}
