import ApusCore
import Logging
import Synchronization

/// Stores what has become of attempts, as many at once as have ended while the previous ones were stored.
///
/// It writes on a task that nobody cancels. While the database is away, outcomes are kept, and stored when it is back.
final class OutcomeWriter: Sendable {
    private struct State {
        var pending: [Outcome] = []
        /// What is being stored.
        var current: [Outcome] = []
        /// Whether a task writes.
        var isWriting = false
        var isClosing = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var onStored: (@Sendable ([Outcome], Set<String>) -> Void)?
    }

    /// The number of outcomes that wait to be stored at which no more jobs are claimed.
    private static let limit = 10_000
    /// The maximum number of outcomes in a transaction.
    private static let batchSize = 2000

    private let store: JobStore
    private let logger: Logger
    private let state = Mutex(State())
    private var clock: any WallClock { store.clock }

    init(_ store: JobStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Sets what is called after outcomes were stored, with the queues of the jobs that waited for them.
    func onStored(_ body: @escaping @Sendable ([Outcome], Set<String>) -> Void) {
        state.withLock { $0.onStored = body }
    }

    var isBackedUp: Bool { state.withLock { $0.pending.count >= Self.limit } }

    /// The attempts whose outcomes are not stored yet.
    var known: Set<AttemptKey> {
        state.withLock { state in Set((state.pending + state.current).map { AttemptKey($0.job) }) }
    }

    func add(_ outcomes: [Outcome]) {
        guard !outcomes.isEmpty else { return }
        let starts = state.withLock { state in
            state.pending += outcomes
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if starts { Task.detached { await self.write() } }
    }

    /// Waits until all outcomes are stored. The database may not be asked more than once for that any more.
    func close() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                state.isClosing = true
                if state.isWriting { state.waiters.append(continuation) }
                return !state.isWriting
            }
            if isDone { continuation.resume() }
        }
    }

    private func write() async {
        var failures = 0
        while let batch = next() {
            do {
                let (lost, released) = try await store.store(batch)
                failures = 0
                state.withLock { $0.onStored }?(batch, released)
                if !lost.isEmpty {
                    logger.warning(
                        "Jobs were performed, but their leases had been lost.", metadata: ["count": "\(lost.count)"])
                }
            } catch {
                failures += 1
                let error = AppError(wrapping: error)
                guard Self.mayPass(error) else {
                    await storeEach(batch)
                    continue
                }
                if failures == 1 {
                    logger.error(
                        "The outcomes of jobs could not be stored.",
                        metadata: ["count": "\(batch.count)", "error": .string(error.debugDescription)])
                }
                let gaveUp = state.withLock { state in
                    if !state.isClosing { state.pending = batch + state.pending }
                    return state.isClosing
                }
                if gaveUp {
                    logger.error(
                        "Outcomes of jobs are lost; the jobs run again.", metadata: ["count": "\(batch.count)"])
                } else {
                    try? await clock.sleep(for: .milliseconds(min(100 << min(failures, 6), 5000)))
                }
            }
        }
    }

    /// Whether an error may be that of the moment, and not that of an outcome.
    private static func mayPass(_ error: AppError) -> Bool { error.code.isTransient && error.code != .internal }

    /// Stores outcomes one by one, after they could not be stored together. What cannot be stored makes its job a dead
    /// letter, so that it does not stop the others.
    private func storeEach(_ outcomes: [Outcome]) async {
        for outcome in outcomes {
            do {
                let (_, released) = try await store.store([outcome])
                state.withLock { $0.onStored }?([outcome], released)
            } catch let failure {
                let error = AppError(wrapping: failure)
                guard !Self.mayPass(error) else {
                    state.withLock { $0.pending.append(outcome) }
                    continue
                }
                logger.error(
                    "The outcome of a job cannot be stored. The job becomes a dead letter.",
                    metadata: ["job_id": "\(outcome.job.id)", "error": .string(error.debugDescription)])
                let text = "Its outcome could not be stored: \(error.message)"
                _ = try? await store.store([Outcome(job: outcome.job, kind: .discarded, error: text)])
            }
        }
    }

    /// Returns the next outcomes to store; `nil` if there are none.
    private func next() -> [Outcome]? {
        let (batch, waiters) = state.withLock { state -> ([Outcome]?, [CheckedContinuation<Void, Never>]) in
            guard !state.pending.isEmpty else {
                state.current = []
                state.isWriting = false
                defer { state.waiters = [] }
                return (nil, state.waiters)
            }
            state.current = Array(state.pending.prefix(Self.batchSize))
            state.pending.removeFirst(state.current.count)
            return (state.current, [])
        }
        for waiter in waiters { waiter.resume() }
        return batch
    }
}
