import ApusCore
import Synchronization

/// The lease of this process on the jobs that it runs, renewed by beats.
final class WorkerLease: Sendable {
    private struct State {
        var worker: WorkerID?
        var lastBeat = Duration.zero
        var observed = ObservedBeats()
    }

    private let store: JobStore
    private let duration: Duration
    private let state = Mutex(State())

    init(_ store: JobStore, duration: Duration) {
        self.store = store
        self.duration = duration
    }

    /// The session of this process; `nil` before it is registered, after it was lost, and when the last beat is so long
    /// ago that others may think that the process is dead.
    var current: WorkerID? {
        let uptime = store.clock.uptime
        return state.withLock { state in uptime - state.lastBeat < duration * 2 / 3 ? state.worker : nil }
    }

    /// Registers the process, or renews its lease.
    /// - Returns: `false` if the lease was lost: what the process runs is not its own any more. It has a new one then.
    func beat() async throws -> Bool {
        let worker = state.withLock { $0.worker }
        // The lease begins when the beat is sent, not when the answer arrives.
        let uptime = store.clock.uptime
        if let worker, try await store.beat(worker) {
            state.withLock { $0.lastBeat = uptime }
            return true
        }
        let new = WorkerID()
        try await store.register(new)
        state.withLock { state in
            state.worker = new
            state.lastBeat = uptime
        }
        return worker == nil
    }

    /// Releases the jobs of processes that are known to be dead.
    /// - Returns: The number of released jobs.
    func releaseDead() async throws -> Int {
        let own = state.withLock { $0.worker }
        let beats = try await store.beats().filter { $0.worker != own }
        let uptime = store.clock.uptime
        let dead = state.withLock { state in
            state.observed.record(beats, uptime: uptime)
            // A live process beats after a third of the lease. The time is measured by this process's uptime, so that a
            // change of the wall clock or a suspended machine does not count.
            return state.observed.unchanged(for: duration * 2 / 3, uptime: uptime)
        }
        try await store.remove(dead)
        var count = 0
        while true {
            let released = try await store.releaseOrphans()
            count += released
            if released < 1000 { return count }
        }
    }

    /// Ends the lease.
    func end() async throws {
        guard let worker = state.withLock({ $0.worker.take() }) else { return }
        try await store.remove(worker)
    }
}
