import Synchronization

/// Wakes many who wait for a moment that rarely comes, as deadlines are.
///
/// A `Task.sleep` that is cancelled leaves its timer behind until the moment comes: calls with deadlines of half a minute would
/// leave half a minute of calls. Here who no longer waits is forgotten at once. Moments are rounded up to
/// ``resolution``; those of one slot share a place in the wheel, and one task sleeps for all.
final class TimerWheel: Sendable {
    static let shared = TimerWheel()

    /// How exact it is: nobody is woken early, or later than this by the wheel's doing.
    static let resolution = Duration.milliseconds(4)
    /// The longest that its task sleeps, because an earlier moment may come up, for which another one does.
    private static let longestSleep = Duration.milliseconds(500)

    /// `@unchecked Sendable`: touched under the wheel's lock alone.
    private final class Waiter: @unchecked Sendable {
        var continuation: CheckedContinuation<Void, any Error>?
        var isCancelled = false
    }

    private struct State {
        var slots: [Int: [ObjectIdentifier: Waiter]] = [:]
        /// The slot that a task sleeps for, if one does.
        var awaited: Int?
    }

    private let start = ContinuousClock.now
    private let state = Mutex(State())

    /// Waits for a moment.
    /// - Throws: `CancellationError` when the task is cancelled before.
    func wait(until instant: ContinuousClock.Instant) async throws {
        let slot = slot(of: instant)
        let waiter = Waiter()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { add(waiter, $0, slot) }
        } onCancel: {
            cancel(waiter, slot)
        }
    }

    /// How many wait.
    var waiters: Int { state.withLock { $0.slots.values.reduce(0) { $0 + $1.count } } }

    private func slot(of instant: ContinuousClock.Instant) -> Int {
        let slots = start.duration(to: instant) / Self.resolution
        return slots < Double(Int.max >> 1) ? Int(slots.rounded(.up)) : Int.max >> 1
    }

    private func add(_ waiter: Waiter, _ continuation: CheckedContinuation<Void, any Error>, _ slot: Int) {
        let (isCancelled, needsTask) = state.withLock { state in
            guard !waiter.isCancelled else { return (true, false) }
            waiter.continuation = continuation
            state.slots[slot, default: [:]][ObjectIdentifier(waiter)] = waiter
            guard slot < state.awaited ?? .max else { return (false, false) }
            state.awaited = slot
            return (false, true)
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
        if needsTask { Task.detached { await self.run(for: slot) } }
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

    /// Sleeps for a slot, and for those after it, as long as it is the one that all wait for.
    private func run(for first: Int) async {
        var slot = first
        while true {
            let moment = start + Self.resolution * slot
            try? await Task.sleep(until: min(moment, .now + Self.longestSleep), clock: .continuous)
            guard let next = wake(after: slot) else { return }
            slot = next
        }
    }

    /// Wakes those whose moment has come.
    /// - Returns: The slot to sleep for, if there is one and nobody else does.
    private func wake(after slot: Int) -> Int? {
        let now = Int((start.duration(to: .now) / Self.resolution).rounded(.down))
        let (due, next) = state.withLock { state -> ([CheckedContinuation<Void, any Error>], Int?) in
            guard state.awaited == slot else { return ([], nil) }
            var due: [CheckedContinuation<Void, any Error>] = []
            var next: Int?
            for number in state.slots.keys {
                if number <= now {
                    for waiter in (state.slots.removeValue(forKey: number) ?? [:]).values {
                        if let continuation = waiter.continuation.take() { due.append(continuation) }
                    }
                } else {
                    next = min(next ?? .max, number)
                }
            }
            state.awaited = next
            return (due, next)
        }
        for continuation in due { continuation.resume() }
        return next
    }
}
