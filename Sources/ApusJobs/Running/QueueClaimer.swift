import ApusCore
import FoundationEssentials
import Synchronization

/// Claims the jobs of one queue, and decides where and when to look next.
struct QueueClaimer {
    /// How long after some jobs were claimed it is looked again, without news.
    private static let lull = Duration.milliseconds(50)

    let store: JobStore
    let rules: QueueConfiguration
    private let queue: String
    private let kinds: [String]
    private let pollInterval: Duration
    private var schedule: ClaimSchedule
    /// Whether the jobs of groups take turns. Else they have no groups.
    private(set) var isFair: Bool
    /// When it was looked for jobs with groups.
    private var lastGroupCheck = Duration.seconds(-1_000_000)
    /// How often the last group was reached since the last job was found.
    private var rounds = 0
    /// When to look for jobs if there is no news.
    private(set) var next: Duration

    init(
        _ queue: String, kinds: [String], rules: QueueConfiguration, isFair: Bool, pollInterval: Duration,
        _ store: JobStore
    ) {
        self.store = store
        self.rules = rules
        self.queue = queue
        self.kinds = kinds
        self.pollInterval = pollInterval
        self.isFair = isFair || rules.isLimited
        schedule = ClaimSchedule(queue: queue, kinds: kinds)
        next = store.clock.uptime
    }

    /// Claims jobs, and sets ``next``.
    mutating func claim(_ worker: WorkerID, room: Int) async throws -> [JobRecord] {
        isFair ? try await claimFairly(worker, room) : try await claimFirst(worker, room)
    }

    mutating func look(at time: Duration) { next = min(next, time) }
    mutating func lookNotBefore(_ time: Duration) { next = time }

    private mutating func claimFirst(_ worker: WorkerID, _ room: Int) async throws -> [JobRecord] {
        let start = store.clock.uptime
        if start - lastGroupCheck >= pollInterval {
            // Other programs, and options of a job, can put jobs with groups into any queue.
            lastGroupCheck = start
            isFair = try await store.firstTimeOfGroups(queue) != nil
            if isFair { return try await claimFairly(worker, room) }
        }
        let claim = schedule.next(worker, uptime: start)
        let jobs = try await store.claim(claim, limit: room)
        let end = store.clock.uptime
        schedule.record(jobs, from: start, to: end)
        next = end
        guard jobs.count < room else { return jobs }
        if let start = schedule.nextStart {
            next = start
        } else if !jobs.isEmpty {
            // When the next one is due is asked only if no others have come meanwhile.
            next = end + min(pollInterval, Self.lull)
        } else {
            next = end + delay(until: try await store.nextTime(queue))
        }
        return jobs
    }

    private mutating func claimFairly(_ worker: WorkerID, _ room: Int) async throws -> [JobRecord] {
        let claim = Claim(queue: queue, kinds: kinds, worker: worker, positions: Claim.start)
        let found = try await store.claimFairly(claim, rules, limit: room)
        let uptime = store.clock.uptime
        rounds = !found.jobs.isEmpty ? 0 : found.hasWrapped ? rounds + 1 : rounds
        let isDone = found.jobs.isEmpty && (found.isComplete || rounds > 1 || found.next != nil)
        next = uptime
        guard isDone, found.next.map({ $0 > store.clock.now }) != false else { return found.jobs }
        rounds = 0
        let times = [
            found.next, try await store.nextTime(queue),
            try await store.firstTimeOfGroups(queue, after: store.clock.now),
        ]
        next = uptime + (times.map { delay(until: $0) }.min() ?? pollInterval)
        return found.jobs
    }

    /// Returns how long to wait for a time. What is due already belongs to programs that know its kind, or is limited.
    private func delay(until time: Date?) -> Duration {
        guard let time else { return pollInterval }
        let delay = Duration.seconds(time.timeIntervalSince(store.clock.now))
        return delay > .zero ? min(delay, pollInterval) : pollInterval
    }
}
