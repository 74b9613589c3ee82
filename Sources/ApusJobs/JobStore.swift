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
    ///
    /// The jobs that others claim at the same time are left out. They are chosen in a common table expression, because
    /// Postgres may run a subquery more than once, and would then claim more than the limit.
    func claim(_ kinds: [String], limit: Int, lease: Duration) async throws -> [JobRecord] {
        try await database.transaction {
            let now = clock.now
            return try await database.query(
                """
                WITH due AS (
                    SELECT id FROM apus_jobs
                    WHERE state = 'available' AND run_at <= \(now) AND kind IN \(list: kinds)
                    ORDER BY run_at, id LIMIT \(limit)\(SQL.rowLockSkippingLocked)
                )
                UPDATE apus_jobs
                SET state = \(JobRecord.State.running), attempt = attempt + 1, fence = fence + 1,
                    lease_until = \(now.addingTimeInterval(lease.seconds))
                WHERE id IN (SELECT id FROM due)
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

    /// Renews the leases of running jobs. A job that is being completed in an open transaction is left out: to wait for
    /// it would delay all others.
    func extendLeases(_ jobs: [JobRecord], by lease: Duration) async throws {
        let fences = Dictionary(jobs.map { ($0.id, $0.fence) }) { max($0, $1) }
        for batch in Self.batches(Array(fences.keys)) {
            try await database.change(reading: Self.running(batch)) { rows in
                let held = try rows.map(Self.lease(row:)).filter { fences[$0.id] == $0.fence }.map(\.id)
                let until = clock.now.addingTimeInterval(lease.seconds)
                return Change(
                    held.isEmpty ? [] : ["UPDATE apus_jobs SET lease_until = \(until) WHERE id IN \(list: held)"],
                    returning: ())
            }
        }
    }

    /// Divides ids into batches, because the number of values in a statement is limited.
    private static func batches(_ ids: [JobRecord.ID]) -> [[JobRecord.ID]] {
        stride(from: 0, to: ids.count, by: 1000).map { Array(ids[$0..<min($0 + 1000, ids.count)]) }
    }

    /// Selects and locks the leases of those of some jobs that are running and that nobody else has locked.
    private static func running(_ ids: [JobRecord.ID]) -> SQL {
        """
        SELECT id, fence, lease_until FROM apus_jobs
        WHERE id IN \(list: ids) AND state = 'running' AND lease_until IS NOT NULL\(SQL.rowLockSkippingLocked)
        """
    }

    private static func lease(row: Row) throws -> ObservedLeases.Lease {
        ObservedLeases.Lease(id: try row.get("id"), fence: try row.get("fence"), until: try row.get("lease_until"))
    }

    /// Returns the leases of all running jobs.
    func leases() async throws -> [ObservedLeases.Lease] {
        try await database.query(
            "SELECT id, fence, lease_until FROM apus_jobs WHERE state = 'running' AND lease_until IS NOT NULL"
        ).map(Self.lease(row:))
    }

    /// Releases the jobs of dead processes, unless their leases have been renewed in the meantime.
    /// - Returns: The number of released jobs.
    func rescue(_ leases: [ObservedLeases.Lease]) async throws -> Int {
        let expected = Set(leases)
        var count = 0
        for batch in Self.batches(Array(Set(leases.map(\.id)))) {
            count += try await database.change(reading: Self.running(batch)) { rows in
                let dead = try rows.map(Self.lease(row:)).filter(expected.contains).map(\.id)
                return Change(dead.isEmpty ? [] : [Self.release(dead, now: clock.now)], returning: dead.count)
            }
        }
        return count
    }

    private static func release(_ ids: [JobRecord.ID], now: Date) -> SQL {
        """
        UPDATE apus_jobs
        SET state = CASE WHEN attempt >= max_attempts THEN 'discarded' ELSE 'available' END,
            finished_at = CASE WHEN attempt >= max_attempts THEN \(now) ELSE NULL END,
            run_at = \(now), lease_until = NULL, last_error = 'The worker died.'
        WHERE id IN \(list: ids)
        """
    }

    /// Deletes jobs that were completed or discarded longer ago than the given durations. Processes that do so at the
    /// same time do not wait for each other.
    func deleteFinished(completed: Duration, discarded: Duration) async throws {
        let now = clock.now
        try await database.execute(
            """
            DELETE FROM apus_jobs WHERE id IN (
                SELECT id FROM apus_jobs
                WHERE (state = 'completed' AND finished_at < \(now.addingTimeInterval(-completed.seconds)))
                    OR (state = 'discarded' AND finished_at < \(now.addingTimeInterval(-discarded.seconds)))
                \(SQL.rowLockSkippingLocked)
            )
            """)
    }
}
