import ApusCore
import Foundation

/// Lets reads pass, except while the writer pauses them.
///
/// `@unchecked Sendable`: the mutable properties are accessed only under the condition's lock.
final class ReadGate: @unchecked Sendable {
    private let condition = NSCondition()
    private var reads = 0
    private var isPaused = false

    /// Runs a read, after the end of a pause.
    func pass(_ read: () -> Void) {
        enter()
        read()
        leave()
    }

    /// Lets a read pass that does not wait for the end of a pause. It must call ``leave()`` in the end.
    /// - Returns: Whether it may pass.
    func enterIfOpen() -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isPaused else { return false }
        reads += 1
        return true
    }

    private func enter() {
        condition.lock()
        defer { condition.unlock() }
        while isPaused { condition.wait() }
        reads += 1
    }

    func leave() {
        condition.lock()
        defer { condition.unlock() }
        reads -= 1
        if isPaused { condition.broadcast() }
    }

    /// Runs a closure while no read runs, or after a time limit although some still do.
    func pause(upTo limit: Duration, _ body: () -> Void) {
        begin(until: Date(timeIntervalSinceNow: limit.seconds))
        body()
        end()
    }

    private func begin(until deadline: Date) {
        condition.lock()
        defer { condition.unlock() }
        isPaused = true
        while reads > 0, condition.wait(until: deadline) {}
    }

    private func end() {
        condition.lock()
        defer { condition.unlock() }
        isPaused = false
        condition.broadcast()
    }
}
