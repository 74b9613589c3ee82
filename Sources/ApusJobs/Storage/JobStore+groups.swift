import ApusCore
import ApusData
import FoundationEssentials

/// What a claim of a queue with groups or limits has found.
struct FairClaim: Sendable {
    var jobs: [JobRecord] = []
    /// Whether all groups were visited.
    var isComplete = true
    /// Whether the last group was reached, so that the next claim begins at the first one.
    var hasWrapped = true
    /// When a rate allows the next job to start; `nil` if it is not a rate that forbids one.
    var next: Date?
}

extension JobStore {
    /// Claims due jobs of a queue that is not paused: one of each group in turn, within the limits of all processes.
    ///
    /// The row of the queue is locked for the duration of the claim, so that each one sees what the others have claimed. It
    /// also stores which group's turn was last.
    func claimFairly(_ claim: Claim, _ rules: QueueConfiguration, limit: Int) async throws -> FairClaim {
        try await database.transaction {
            guard let queue = try await lock(claim.queue, rules), limit > 0 else { return FairClaim() }
            var allowance = Allowance(queue, rules, limit: limit, now: clock.now)
            guard allowance.room > 0 else { return FairClaim(next: allowance.next) }
            let candidates = try await candidates(claim, rules, queue, room: allowance.room)
            let chosen = allowance.choose(from: candidates.jobs)
            var result = FairClaim(
                isComplete: candidates.isComplete, hasWrapped: candidates.hasWrapped, next: allowance.next)
            let last = chosen.last.map(\.group) ?? candidates.lastGroup
            guard !chosen.isEmpty || last != queue.lastGroup else {
                if result.next == nil { result.next = try await nextStart(claim.queue, rules) }
                return result
            }
            let statements = [run(chosen.map(\.id), claim), allowance.change(of: claim.queue, lastGroup: last)]
            let rows = try await database.batch(statements + allowance.changesOfGroups(of: claim.queue))
            result.jobs = try rows[0].map(JobRecord.init(row:)).sorted { $0.precedes($1) }
            return result
        }
    }

    /// Locks the row of a queue, and then reads what runs.
    /// - Returns: The state of the queue; `nil` if it is paused.
    private func lock(_ name: String, _ rules: QueueConfiguration) async throws -> QueueState? {
        let lock: SQL = "SELECT paused_at, due, last_group FROM apus_job_queue WHERE name = \(name)\(SQL.rowLock)"
        let count: SQL = """
            SELECT group_key, count(*) FROM apus_job WHERE state = 'running' AND queue = \(name) GROUP BY group_key
            """
        // The jobs are counted by a statement of its own, which sees what was committed while this one waited for the lock.
        let statements = [lock, Self.firstTimeOfGroups(name)] + (rules.limitsConcurrency ? [count] : [])
        let rows = try await database.batch(statements)
        guard let row = rows[0].first else {
            try await database.execute(
                "INSERT INTO apus_job_queue (name) VALUES (\(name)) ON CONFLICT (name) DO NOTHING")
            return try await self.lock(name, rules)
        }
        guard try row.get(0) as Date? == nil else { return nil }
        var state = QueueState(due: try row.get(1), lastGroup: try row.get(2))
        let first: Date? = try rows[1].first?.get(0)
        state.hasDueGroups = first.map { $0 <= clock.now } ?? false
        for row in rows.dropFirst(2).joined() {
            let count: Int = try row.get(1)
            state.running += count
            if let group: String = try row.get(0) { state.runningOfGroups[ExactString(group)] = count }
        }
        return state
    }

    /// Returns when the rate of the first group allows its next job to start.
    private func nextStart(_ queue: String, _ rules: QueueConfiguration) async throws -> Date? {
        guard let rate = rules.groupLimit.rate else { return nil }
        let blocked = RatePacer.blocked(rate, now: clock.now)
        let rows = try await database.query(
            """
            SELECT min(due) FROM apus_job_group
            WHERE queue = \(queue) AND due BETWEEN \(blocked.lowerBound) AND \(blocked.upperBound)
            """)
        guard let due: Int = try rows.first?.get(0) else { return nil }
        return Date(timeIntervalSince1970: RatePacer(rate, stored: due, now: clock.now).next)
    }

    private func run(_ ids: [JobRecord.ID], _ claim: Claim) -> SQL {
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM apus_job WHERE id IN \(list: ids) AND state = 'available'\(SQL.rowLockSkippingLocked)
        )
        \(running(claim.worker))
        """
    }

    /// Returns the earliest time of the jobs of a queue with a group.
    /// - Parameter date: If given, only jobs of later times.
    func firstTimeOfGroups(_ queue: String, after date: Date? = nil) async throws -> Date? {
        try await database.query(Self.firstTimeOfGroups(queue, after: date)).first?.get(0)
    }

    private static func firstTimeOfGroups(_ queue: String, after date: Date? = nil) -> SQL {
        """
        SELECT run_at FROM apus_job WHERE state = 'available' AND group_key IS NOT NULL AND queue = \(queue)
        \(date.map { "AND run_at > \($0)" as SQL } ?? "") ORDER BY run_at LIMIT 1
        """
    }

    /// Forgets the groups whose rates are not used.
    func deleteIdleGroups() async throws {
        let idle = Int(clock.now.timeIntervalSince1970 * 1e6)
        // Not those of which a claim records a start just now.
        try await database.execute(
            """
            DELETE FROM apus_job_group WHERE (queue, name) IN (
                SELECT queue, name FROM apus_job_group WHERE due < \(idle)\(SQL.rowLockSkippingLocked))
            """)
    }
}

/// The row of a locked queue, and what runs.
struct QueueState {
    var due: Int
    var lastGroup: String?
    /// Whether a job with a group is due.
    var hasDueGroups = false
    var running = 0
    var runningOfGroups: [ExactString: Int] = [:]
}
