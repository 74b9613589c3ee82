import ApusCore
import Foundation
import Synchronization

/// The wait for SQLite's write lock while another process has it: as long as somebody waits for what is to be written, and no
/// longer than each may wait.
///
/// Used by the writer's thread; the lock is for the compiler.
final class WriteLock: Sendable {
    private struct Waiting {
        var operations: [Operation] = []
        var tries = 0
    }

    private let timeout: Duration
    private let waiting = Mutex(Waiting())

    /// - Parameter timeout: How long an operation waits for a lock, counted from when it was enqueued: those behind one another wait
    ///   together.
    init(timeout: Duration) { self.timeout = timeout }

    /// Takes the lock for operations that wait.
    func acquire(for operations: [Operation], _ begin: () throws -> Void) throws {
        waiting.withLock { $0 = Waiting(operations: operations) }
        defer { waiting.withLock { $0 = Waiting() } }
        try begin()
    }

    /// Whether to try again: after a moment, which this waits. Called by SQLite on the writer's thread.
    func waits() -> Bool {
        let (isWanted, tries) = waiting.withLock { waiting in
            waiting.tries += 1
            let isWanted = waiting.operations.contains { $0.isWaiting && $0.enqueuedAt.duration(to: .now) < timeout }
            return (isWanted, waiting.tries)
        }
        guard isWanted else { return false }
        // 1, 2, 4 … 32 milliseconds: short at first, because most locks are.
        Thread.sleep(forTimeInterval: Double(1 << min(tries - 1, 5)) / 1000)
        return true
    }
}
