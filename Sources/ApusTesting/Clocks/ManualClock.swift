public import ApusCore
public import FoundationEssentials
import Synchronization

/// A clock that advances only when a test advances it.
public final class ManualClock: WallClock {
    private struct Sleeper {
        let wakeAt: Duration
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var elapsed = Duration.zero
        /// By how much the date was set.
        var shift = Duration.zero
        var nextID = 0
        var sleepers: [Int: Sleeper] = [:]
        var watchers: [Int: (count: Int, continuation: CheckedContinuation<Void, Never>)] = [:]
    }

    private let start: Date
    private let state = Mutex(State())

    /// Creates a clock.
    /// - Parameter start: The initial date. 2026-01-01T00:00:00Z by default.
    public init(start: Date = Date(timeIntervalSince1970: 1_767_225_600)) { self.start = start }

    public var now: Date { start.addingTimeInterval(state.withLock { $0.elapsed + $0.shift }.seconds) }

    public var uptime: Duration { state.withLock { $0.elapsed } }

    public func sleep(for duration: Duration) async throws {
        guard duration > .zero else { return try Task.checkCancellation() }
        let id = nextID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(Sleeper(wakeAt: uptime + duration, continuation: continuation), id)
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: id) }?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Advances the clock and resumes the tasks whose sleep has ended.
    public func advance(by duration: Duration) {
        let woken = state.withLock { state in
            state.elapsed += duration
            let due = state.sleepers.filter { $0.value.wakeAt <= state.elapsed }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.sorted { $0.wakeAt < $1.wakeAt }
        }
        for sleeper in woken { sleeper.continuation.resume() }
    }

    /// Sets the date forward or back, as an administrator may do. ``uptime`` and sleeping tasks are not affected.
    public func setDate(by duration: Duration) { state.withLock { $0.shift += duration } }

    /// Waits until at least this many tasks are sleeping, so that advancing the clock has an effect. Returns early if
    /// the task is cancelled.
    public func sleepers(_ count: Int) async {
        let id = nextID()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let resumesNow = state.withLock { state in
                    if state.sleepers.count >= count || Task.isCancelled { return true }
                    state.watchers[id] = (count, continuation)
                    return false
                }
                if resumesNow { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.watchers.removeValue(forKey: id) }?.continuation.resume()
        }
    }

    private func nextID() -> Int {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    private func add(_ sleeper: Sleeper, _ id: Int) {
        let (resumesNow, watchers) = state.withLock { state in
            if Task.isCancelled { return (true, [] as [CheckedContinuation<Void, Never>]) }
            state.sleepers[id] = sleeper
            let count = state.sleepers.count
            let satisfied = state.watchers.filter { $0.value.count <= count }
            for id in satisfied.keys { state.watchers[id] = nil }
            return (false, satisfied.values.map(\.continuation))
        }
        if resumesNow { sleeper.continuation.resume(throwing: CancellationError()) }
        for watcher in watchers { watcher.resume() }
    }
}
