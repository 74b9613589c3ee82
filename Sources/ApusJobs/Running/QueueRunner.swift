import ApusCore
import ApusData
import FoundationEssentials
import Logging
import Synchronization

/// Runs the jobs of one queue: claims as many as it has room for, and keeps a few in store for short ones.
final class QueueRunner: Sendable {
    private struct State {
        var attempts: [AttemptKey: Attempt] = [:]
        /// How many of them were given up.
        var abandoned = 0
        var busy: Int { attempts.count - abandoned }
        /// Claimed jobs that wait for a free slot.
        var stored: ArraySlice<JobRecord> = []
        /// When a stored job was started last.
        var lastStart = Duration.zero
        /// The number of attempts that have ended, and when the speed was measured last.
        var ended = 0
        var measured = Duration.zero
        /// How many jobs end in the time for which they are kept in store.
        var prefetch = 0
        /// Whether jobs take turns across processes. Then none are kept in store.
        var isFair = false
        var isStopping = false
        var idleWaiter: CheckedContinuation<Void, Never>?
    }

    /// For how long the stored jobs should last.
    private static let prefetchTime = Duration.milliseconds(50)
    /// After how long jobs that nobody had the time to start are returned.
    private static let patience = Duration.seconds(1)

    let name: String
    private let rules: QueueConfiguration
    private let concurrency: Int
    private let maximumPrefetch: Int
    private let pollInterval: Duration
    private let performer: JobPerformer
    private let wakeup: Wakeup
    private let state = Mutex(State())

    private var store: JobStore { performer.store }
    private var clock: any WallClock { performer.store.clock }

    init(_ name: String, _ configuration: JobRunner.Configuration, _ performer: JobPerformer, _ wakeup: Wakeup) {
        self.name = name
        rules = configuration.queues[name] ?? QueueConfiguration()
        concurrency = rules.concurrency ?? configuration.concurrency
        maximumPrefetch = configuration.maximumPrefetch
        pollInterval = configuration.pollInterval
        self.performer = performer
        self.wakeup = wakeup
    }

    // MARK: Claiming

    /// Claims jobs until ``stop()`` or until the task is cancelled.
    func claimJobs() async {
        var claimer = claimer()
        var failures = 0
        while !isStopping {
            let uptime = clock.uptime
            if wakeup.takeNews() { claimer.look(at: uptime) }
            let room = room(claimer)
            guard claimer.next <= uptime, room > 0, !performer.writer.isBackedUp, let worker = performer.lease.current
            else {
                returnForgotten()
                // A slot that becomes free, and news, end the wait.
                let wait = claimer.next <= uptime ? .milliseconds(50) : claimer.next - uptime
                await wakeup.wait(atMost: wait, clock: clock)
                continue
            }
            do {
                start(try await claimer.claim(worker, room: room))
                failures = 0
            } catch {
                failures += 1
                performer.logFailure("Jobs could not be claimed.", error)
                claimer.lookNotBefore(clock.uptime + .milliseconds(min(50 << min(failures, 6), 2000)))
            }
        }
    }

    func claimer() -> QueueClaimer {
        QueueClaimer(
            name, kinds: performer.kinds, rules: rules, isFair: performer.hasGroups(in: name),
            pollInterval: pollInterval,
            store)
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } || Task.isCancelled }

    /// How many jobs to claim; 0 if it is not worth while yet.
    private func room(_ claimer: QueueClaimer) -> Int {
        let uptime = clock.uptime
        return state.withLock { state in
            state.isFair = claimer.isFair
            measure(&state, uptime)
            let free = concurrency - state.busy + state.prefetch - state.stored.count
            // With a store, not for each job that has ended.
            return free * 2 >= state.prefetch ? max(0, free) : 0
        }
    }

    private func measure(_ state: inout State, _ uptime: Duration) {
        let elapsed = uptime - state.measured
        guard elapsed >= Self.prefetchTime / 5 else { return }
        let rate = Double(state.ended) / elapsed.seconds
        state.prefetch = state.isFair ? 0 : min(maximumPrefetch, Int(rate * Self.prefetchTime.seconds))
        state.ended = 0
        state.measured = uptime
    }

    /// Returns stored jobs to the queue, uncounted, if none of them was started for a while: others may have a free slot.
    private func returnForgotten() {
        let uptime = clock.uptime
        let forgotten = state.withLock { state -> ArraySlice<JobRecord> in
            guard !state.stored.isEmpty, uptime - state.lastStart >= Self.patience else { return [] }
            defer { state.stored = [] }
            state.prefetch = 0
            return state.stored
        }
        performer.giveBack(forgotten)
    }

    // MARK: Attempts

    /// Starts jobs in free slots, and stores the others.
    private func start(_ jobs: [JobRecord]) {
        guard !jobs.isEmpty else { return }
        let uptime = clock.uptime
        let isStopping = state.withLock { state in
            guard !state.isStopping else { return true }
            if state.stored.isEmpty { state.lastStart = uptime }
            state.stored += jobs
            while startNext(&state, uptime) {}
            return false
        }
        if isStopping { performer.giveBack(jobs) }
    }

    /// Starts the next stored job in a task of its own, if a slot is free.
    private func startNext(_ state: inout State, _ uptime: Duration) -> Bool {
        guard state.busy < concurrency, let job = state.stored.popFirst() else {
            return false
        }
        state.lastStart = uptime
        let task = Task.detached { self.ended(job, await self.performer.perform(job)) }
        state.attempts[AttemptKey(job)] = Attempt(
            job: job, task: task, started: uptime, overdue: uptime + performer.limit(of: job))
        return true
    }

    private func ended(_ job: JobRecord, _ outcome: Outcome?) {
        let uptime = clock.uptime
        let (attempt, waiter, isLow) = state.withLock { state in
            let attempt = state.attempts.removeValue(forKey: AttemptKey(job))
            state.ended += 1
            if attempt?.isAbandoned == true { state.abandoned -= 1 }
            _ = startNext(&state, uptime)
            let isLow = state.stored.count * 2 <= state.prefetch
            let waiter = state.attempts.isEmpty ? state.idleWaiter.take() : nil
            return (attempt, waiter, isLow)
        }
        let isOwn = attempt?.isAbandoned == false
        if isOwn, let attempt {
            let label = attempt.loss?.rawValue ?? outcome?.label ?? "completed"
            performer.measure(job, label, after: uptime - attempt.started)
        }
        // What is known to be lost would have no effect.
        if isOwn, attempt?.loss == nil, let outcome {
            performer.writer.add([outcome])
        } else {
            performer.freed([job])
        }
        waiter?.resume()
        if isLow { wakeup.notify(hasNews: false) }
    }

    // MARK: Watching

    /// Gives up attempts that have ignored their cancellation for too long: their slots are free again, and their jobs are
    /// retried. What they do later has no effect on the job.
    func abandonOverdue() {
        let uptime = clock.uptime
        let overdue = state.withLock { state in
            let overdue = state.attempts.filter { $0.value.overdue <= uptime && !$0.value.isAbandoned }.map(\.key)
            return overdue.compactMap { key in
                state.attempts[key]?.isAbandoned = true
                state.abandoned += 1
                return state.attempts[key]?.job
            }
        }
        guard !overdue.isEmpty else { return }
        for job in overdue { performer.abandon(job) }
        state.withLock { state in while startNext(&state, uptime) {} }
        wakeup.notify(hasNews: false)
    }

    /// Cancels the attempts at jobs that were cancelled or given to others.
    func cancelLost() async throws {
        let lost = try await store.lost(state.withLock { Array($0.attempts.keys) })
        guard !lost.isEmpty else { return }
        let tasks = state.withLock { state in
            lost.compactMap { key, reason in
                state.attempts[key]?.loss = reason
                return state.attempts[key]?.task
            }
        }
        for task in tasks { task.cancel() }
    }

    /// The attempts in progress, and those that wait for a free slot.
    var known: Set<AttemptKey> {
        state.withLock { state in Set(state.attempts.keys).union(state.stored.map { AttemptKey($0) }) }
    }

    /// The number of attempts in progress.
    var running: Int { state.withLock { $0.attempts.count } }

    // MARK: Stopping

    /// Stops claiming, and returns what is stored.
    func stop() {
        let stored = state.withLock { state in
            state.isStopping = true
            defer { state.stored = [] }
            return state.stored
        }
        performer.giveBack(stored)
        wakeup.notify()
    }

    func cancelAll() { for attempt in state.withLock({ Array($0.attempts.values) }) { attempt.task.cancel() } }

    /// Gives up all attempts, and returns their jobs, uncounted.
    func abandonAll() {
        let jobs = state.withLock { state in
            defer { (state.attempts, state.abandoned) = ([:], 0) }
            return state.attempts.values.filter { !$0.isAbandoned }.map(\.job)
        }
        performer.giveBack(jobs)
    }

    /// Waits until no attempt is in progress, or until the task is cancelled.
    func waitUntilIdle() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isIdle = state.withLock { state in
                    if state.attempts.isEmpty || Task.isCancelled { return true }
                    state.idleWaiter = continuation
                    return false
                }
                if isIdle { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.idleWaiter.take() }?.resume()
        }
    }
}

/// An attempt at a job.
struct AttemptKey: Hashable, Sendable {
    let id: JobRecord.ID
    let fence: Int

    init(_ job: JobRecord) { self.init(id: job.id, fence: job.fence) }

    init(id: JobRecord.ID, fence: Int) {
        self.id = id
        self.fence = fence
    }
}

private struct Attempt: Sendable {
    let job: JobRecord
    let task: Task<Void, Never>
    let started: Duration
    /// When it has ignored its cancellation for too long.
    let overdue: Duration
    var isAbandoned = false
    var loss: LossReason?
}
