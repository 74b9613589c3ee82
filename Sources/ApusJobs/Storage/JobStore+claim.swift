import ApusCore
import ApusData
import FoundationEssentials

/// Which jobs a worker process claims.
struct Claim: Sendable {
    let queue: String
    /// The kinds and versions that the process knows, as stored in a comparison: `send-receipt 1`.
    let kinds: [String]
    /// The session of the process.
    let worker: WorkerID
    /// For each priority, the job that was claimed last: only later ones are looked for.
    var positions: [JobPosition]

    /// The positions before all jobs.
    static let start = JobPriority.allCases.map { _ in JobPosition.start }
}

/// The place of a job among those of its queue and priority.
struct JobPosition: Sendable {
    let runAt: Date
    let id: JobRecord.ID?

    static let start = JobPosition(runAt: Date(timeIntervalSince1970: -1e9), id: nil)
}

extension JobRecord {
    /// Whether the job runs before another one that is due, too.
    func precedes(_ other: JobRecord) -> Bool {
        (priority.rawValue, runAt, id) < (other.priority.rawValue, other.runAt, other.id)
    }
}

extension JobStore {
    /// Claims due jobs without a group of a queue that is not paused, by priority and time.
    ///
    /// The jobs that others claim at the same time are left out. They are chosen in a common table expression, because
    /// Postgres may run a subquery more than once, and would then claim more than the limit. Each priority is a part of
    /// its own, so that a million jobs of the future do not have to be passed over. The parts begin at the positions of
    /// the claim: what was claimed before leaves dead entries in the index, which Postgres must visit as long as an old
    /// transaction is open anywhere.
    func claim(_ claim: Claim, limit: Int) async throws -> [JobRecord] {
        let now = clock.now
        let parts = zip(JobPriority.allCases, claim.positions).map { priority, position -> SQL in
            """
            SELECT id FROM (
                SELECT id FROM apus_job
                WHERE state = 'available' AND group_key IS NULL AND queue = \(claim.queue)
                    AND priority = \(SQL(stringLiteral: "\(priority.rawValue)"))
                    AND (run_at, id) > (\(position.runAt), \(position.id?.description ?? Self.leastID)) AND run_at <= \(now)
                    AND (kind || ' ' || version) IN \(list: claim.kinds)
                ORDER BY run_at, id LIMIT \(limit)\(SQL.rowLockSkippingLocked)
            ) AS due
            """
        }
        return try await database.query(
            """
            WITH due AS MATERIALIZED (
                SELECT id FROM (\(SQL.joined(parts, separator: " UNION ALL "))) AS parts
                WHERE NOT EXISTS (SELECT 1 FROM apus_job_queue WHERE name = \(claim.queue) AND paused_at IS NOT NULL)
                LIMIT \(limit)
            )
            \(running(claim.worker))
            """
        ).map(JobRecord.init(row:)).sorted { $0.precedes($1) }
    }

    /// The end of a statement that gives the jobs of the common table expression `due` to a process.
    func running(_ worker: WorkerID) -> SQL {
        """
        UPDATE apus_job
        SET state = 'running', attempt = attempt + 1, fence = fence + 1, worker = \(worker), attempted_at = \(clock.now)
        WHERE id IN (SELECT id FROM due)
        RETURNING \(JobRecord.columns)
        """
    }

    private static let leastID = "00000000-0000-0000-0000-000000000000"

    /// Returns when the next job without a group in a queue is due; `nil` if none waits.
    func nextTime(_ queue: String) async throws -> Date? {
        try await database.query("SELECT min(run_at) FROM (\(Self.firstTimesByPriority(queue))) AS times").first?.get(0)
    }

    /// The time of the first job of a queue, with or without a group.
    func firstTimes(_ queue: String) -> SQL {
        """
        SELECT min(run_at) FROM (
            \(Self.firstTimesByPriority(queue)) UNION ALL SELECT (
                SELECT run_at FROM apus_job WHERE state = 'available' AND group_key IS NOT NULL AND queue = \(queue)
                ORDER BY run_at LIMIT 1
            ) AS run_at
        ) AS times
        """
    }

    private static func firstTimesByPriority(_ queue: String) -> SQL {
        let parts = JobPriority.allCases.map { priority -> SQL in
            """
            SELECT (
                SELECT run_at FROM apus_job
                WHERE state = 'available' AND group_key IS NULL AND queue = \(queue)
                    AND priority = \(SQL(stringLiteral: "\(priority.rawValue)"))
                ORDER BY run_at, id LIMIT 1
            ) AS run_at
            """
        }
        return SQL.joined(parts, separator: " UNION ALL ")
    }
}
