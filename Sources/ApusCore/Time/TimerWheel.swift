import Synchronization

/// A timer for many concurrent waits that rarely run to completion, such as deadlines.
///
/// A cancelled `Task.sleep` keeps its timer until it would have fired: with deadlines of 30 seconds, the timers of the
/// calls of the last 30 seconds would accumulate. Here a cancelled wait is removed at once. Instants are rounded up to
/// ``resolution``; waits for the same instant share a slot, and one task sleeps for all of them.
final class TimerWheel: Sendable {
    static let shared = TimerWheel()

    /// The precision of the wheel: waits never end early, and the wheel itself delays them by at most this much.
    static let resolution = Duration.milliseconds(4)
    /// The maximum duration of one sleep of the wheel's task, so that it ends soon after the last wait has been
    /// cancelled.
    private static let maximumSleep = Duration.milliseconds(500)

    /// `@unchecked Sendable`: accessed only while the wheel's lock is held.
    private final class Waiter: @unchecked Sendable {
        var continuation: CheckedContinuation<Void, any Error>?
        var isCancelled = false
    }

    private struct State {
        var slots: [Int: [ObjectIdentifier: Waiter]] = [:]
        /// The slot that the wheel's task sleeps for, if there is a task.
        var scheduledSlot: Int?
        /// The task and its number. A task with another number has been superseded by one for an earlier instant.
        var task: Task<Void, Never>?
        var taskNumber = 0
        /// The number of tasks that have not ended, including superseded ones.
        var runningTasks = 0
    }

    private let start = ContinuousClock.now
    private let state = Mutex(State())

    /// Waits until an instant.
    /// - Throws: `CancellationError` if the task is cancelled before.
    func wait(until instant: ContinuousClock.Instant) async throws {
        let slot = slot(of: instant)
        let waiter = Waiter()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { add(waiter, $0, slot) }
        } onCancel: {
            cancel(waiter, slot)
        }
    }

    /// The number of waiting tasks.
    var waiterCount: Int { state.withLock { $0.slots.values.reduce(0) { $0 + $1.count } } }

    /// The number of tasks that sleep for the waits: at most one, apart from those that are about to end.
    var taskCount: Int { state.withLock { $0.runningTasks } }

    private func slot(of instant: ContinuousClock.Instant) -> Int {
        let slots = start.duration(to: instant) / Self.resolution
        return slots < Double(Int.max >> 1) ? Int(slots.rounded(.up)) : Int.max >> 1
    }

    private func add(_ waiter: Waiter, _ continuation: CheckedContinuation<Void, any Error>, _ slot: Int) {
        let (isCancelled, superseded) = state.withLock { state -> (Bool, Task<Void, Never>?) in
            guard !waiter.isCancelled else { return (true, nil) }
            waiter.continuation = continuation
            state.slots[slot, default: [:]][ObjectIdentifier(waiter)] = waiter
            guard slot < state.scheduledSlot ?? .max else { return (false, nil) }
            let superseded = state.task
            state.taskNumber += 1
            let number = state.taskNumber
            state.scheduledSlot = slot
            state.runningTasks += 1
            state.task = Task.detached { await self.run(for: slot, as: number) }
            return (false, superseded)
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
        superseded?.cancel()
    }

    private func cancel(_ waiter: Waiter, _ slot: Int) {
        let continuation = state.withLock { state in
            waiter.isCancelled = true
            state.slots[slot]?[ObjectIdentifier(waiter)] = nil
            if state.slots[slot]?.isEmpty == true { state.slots[slot] = nil }
            return waiter.continuation.take()
        }
        continuation?.resume(throwing: CancellationError())
    }

    /// Sleeps until a slot is due, and then for the slots after it, until there are none or another task has taken
    /// over.
    private func run(for first: Int, as number: Int) async {
        var slot = first
        while true {
            let instant = start + Self.resolution * slot
            try? await Task.sleep(until: min(instant, .now + Self.maximumSleep), clock: .continuous)
            guard let next = wake(task: number) else { return }
            slot = next
        }
    }

    /// Resumes the waits that are due.
    /// - Parameter task: The number of the task that has slept for them.
    /// - Returns: The next slot to sleep for, or `nil` if there is none or another task has taken over, so that this one
    ///   ends.
    private func wake(task number: Int) -> Int? {
        let now = Int((start.duration(to: .now) / Self.resolution).rounded(.down))
        let (due, next) = state.withLock { state -> ([CheckedContinuation<Void, any Error>], Int?) in
            guard state.taskNumber == number else {
                state.runningTasks -= 1
                return ([], nil)
            }
            var due: [CheckedContinuation<Void, any Error>] = []
            var next: Int?
            for slot in state.slots.keys {
                if slot <= now {
                    for waiter in (state.slots.removeValue(forKey: slot) ?? [:]).values {
                        if let continuation = waiter.continuation.take() { due.append(continuation) }
                    }
                } else {
                    next = min(next ?? .max, slot)
                }
            }
            state.scheduledSlot = next
            if next == nil {
                state.task = nil
                state.runningTasks -= 1
            }
            return (due, next)
        }
        for continuation in due { continuation.resume() }
        return next
    }
}
