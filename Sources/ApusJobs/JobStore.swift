import ApusCore
import ApusData
import FoundationEssentials

/// The SQL statements for the lifecycle of a job. Every statement after the claim checks the fence, so that a worker
/// that lost its lease changes nothing.
struct JobStore: Sendable {
    let database: any Database
    let clock: any WallClock

    private func running(_ id: JobRecord.ID, _ fence: Int) -> SQL {
        "id = \(id) AND fence = \(fence) AND state = \(JobRecord.State.running)"
    }

    /// Claims due jobs, the oldest first. Their leases begin when the transaction begins, not when this method starts
    /// to wait for the database.
    func claim(_ kinds: [String], limit: Int, lease: Duration) async throws -> [JobRecord] {
        let names = SQL.joined(kinds.map { "\($0)" }, separator: ", ")
        return try await database.transaction {
            let now = clock.now
            return try await database.query(
                """
                UPDATE apus_jobs
                SET state = \(JobRecord.State.running), attempt = attempt + 1, fence = fence + 1,
                    lease_until = \(now.addingTimeInterval(lease.seconds))
                WHERE id IN (
                    SELECT id FROM apus_jobs
                    WHERE state = 'available' AND run_at <= \(now) AND kind IN (\(names))
                    ORDER BY run_at, id LIMIT \(limit)
                )
                RETURNING *
                """
            ).map(JobRecord.init(row:)).sorted { ($0.runAt, $0.id) < ($1.runAt, $1.id) }
        }
    }

    /// Marks a job as completed.
    /// - Returns: Whether this attempt still held the lease.
    func complete(_ id: JobRecord.ID, fence: Int) async throws -> Bool {
        try await database.execute(
            """
            UPDATE apus_jobs
            SET state = \(JobRecord.State.completed), finished_at = \(clock.now), lease_until = NULL, last_error = NULL
            WHERE \(running(id, fence))
            """) > 0
    }

    func retry(_ job: JobRecord, after delay: Duration, error: String) async throws {
        try await database.execute(
            """
            UPDATE apus_jobs
            SET state = \(JobRecord.State.available), run_at = \(clock.now.addingTimeInterval(delay.seconds)),
                lease_until = NULL, last_error = \(error)
            WHERE \(running(job.id, job.fence))
            """)
    }

    func discard(_ job: JobRecord, error: String) async throws {
        try await database.execute(
            """
            UPDATE apus_jobs
            SET state = \(JobRecord.State.discarded), finished_at = \(clock.now), lease_until = NULL, last_error = \(error)
            WHERE \(running(job.id, job.fence))
            """)
    }

    /// Returns a job to the queue after its attempt was cancelled by a shutdown. The attempt does not count.
    func requeue(_ job: JobRecord) async throws {
        try await database.execute(
            """
            UPDATE apus_jobs
            SET state = \(JobRecord.State.available), attempt = attempt - 1, run_at = \(clock.now), lease_until = NULL
            WHERE \(running(job.id, job.fence))
            """)
    }

    func extendLeases(_ jobs: [JobRecord], by lease: Duration) async throws {
        // In batches, because databases limit the depth of an expression, SQLite to 1,000.
        for start in stride(from: 0, to: jobs.count, by: 100) {
            let batch = jobs[start..<min(start + 100, jobs.count)]
            let conditions = SQL.joined(batch.map { "(\(running($0.id, $0.fence)))" }, separator: " OR ")
            try await database.transaction {
                let until = clock.now.addingTimeInterval(lease.seconds)
                try await database.execute("UPDATE apus_jobs SET lease_until = \(until) WHERE \(conditions)")
            }
        }
    }

    /// Returns the leases of all running jobs.
    func leases() async throws -> [ObservedLeases.Lease] {
        try await database.query(
            "SELECT id, fence, lease_until FROM apus_jobs WHERE state = 'running' AND lease_until IS NOT NULL"
        ).map { row in
            ObservedLeases.Lease(
                id: try row.get("id"), fence: try row.get("fence"), until: try row.get("lease_until"))
        }
    }

    /// Releases the jobs of dead processes, unless their leases have been renewed in the meantime.
    /// - Returns: The number of released jobs.
    func rescue(_ leases: [ObservedLeases.Lease]) async throws -> Int {
        var count = 0
        for start in stride(from: 0, to: leases.count, by: 100) {
            let batch = leases[start..<min(start + 100, leases.count)]
            let conditions = SQL.joined(
                batch.map { "(\(running($0.id, $0.fence)) AND lease_until = \($0.until))" }, separator: " OR ")
            let now = clock.now
            count += try await database.execute(
                """
                UPDATE apus_jobs
                SET state = CASE WHEN attempt >= max_attempts THEN 'discarded' ELSE 'available' END,
                    finished_at = CASE WHEN attempt >= max_attempts THEN \(now) ELSE NULL END,
                    run_at = \(now), lease_until = NULL, last_error = 'The worker died.'
                WHERE \(conditions)
                """)
        }
        return count
    }

    /// Deletes jobs that were completed or discarded longer ago than the given durations.
    func deleteFinished(completed: Duration, discarded: Duration) async throws {
        let now = clock.now
        try await database.execute(
            """
            DELETE FROM apus_jobs
            WHERE (state = 'completed' AND finished_at < \(now.addingTimeInterval(-completed.seconds)))
                OR (state = 'discarded' AND finished_at < \(now.addingTimeInterval(-discarded.seconds)))
            """)
    }
}
