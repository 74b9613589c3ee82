import ApusCore
import Foundation
import Synchronization

/// Lets reads pass, except while the writer pauses them.
///
/// `@unchecked Sendable`: the condition and the lock have no mutable state that is not their own.
final class ReadGate: @unchecked Sendable {
    /// Twice the number of reads, plus 1 during a pause.
    private let state = Atomic(0)
    private let condition = NSCondition()
    /// One pause at a time.
    private let pausing = NSLock()

    /// Runs a read, after the end of a pause.
    func pass(_ read: () -> Void) {
        while !enterIfOpen() { waitForEnd() }
        read()
        leave()
    }

    /// Lets a read pass that does not wait for the end of a pause. It must call ``leave()`` in the end.
    /// - Returns: Whether it may pass.
    func enterIfOpen() -> Bool {
        guard state.wrappingAdd(2, ordering: .acquiringAndReleasing).newValue & 1 == 1 else { return true }
        leave()
        return false
    }

    func leave() {
        // The last one of a pause.
        if state.wrappingSubtract(2, ordering: .acquiringAndReleasing).newValue == 1 { broadcast() }
    }

    /// Runs a closure while no read runs, or after a time limit although some still do.
    func pause(upTo limit: Duration, _ body: () -> Void) {
        pausing.lock()
        defer { pausing.unlock() }
        begin(until: Date(timeIntervalSinceNow: limit.seconds))
        body()
        state.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        broadcast()
    }

    private func begin(until deadline: Date) {
        state.wrappingAdd(1, ordering: .acquiringAndReleasing)
        condition.lock()
        defer { condition.unlock() }
        while state.load(ordering: .acquiring) != 1, condition.wait(until: deadline) {}
    }

    private func waitForEnd() {
        condition.lock()
        defer { condition.unlock() }
        while state.load(ordering: .acquiring) & 1 == 1 { condition.wait() }
    }

    /// Wakes who waits. With the lock, so that it comes before or after a look at the state and the wait, not in between.
    private func broadcast() {
        condition.lock()
        condition.broadcast()
        condition.unlock()
    }
}
