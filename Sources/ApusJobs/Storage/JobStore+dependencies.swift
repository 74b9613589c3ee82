import ApusCore
import ApusData
import FoundationEssentials

/// The statements about jobs that wait for others. They belong into the transaction that changes the others.
extension JobStore {
    /// Makes the jobs available that waited for the last one of some that are completed. The first statement returns their
    /// queues.
    ///
    /// Two transactions that complete jobs of one that waits change its row one after the other, and so both count.
    func release(after jobs: [JobRecord.ID]) -> [SQL] {
        let isMet: SQL = """
            needs IN \(list: jobs) AND EXISTS (SELECT 1 FROM apus_job AS needed WHERE needed.id = needs AND needed.state = 'completed')
            """
        return [
            """
            UPDATE apus_job
            SET waits_for = waits_for - met.number,
                state = CASE WHEN waits_for <= met.number THEN 'available' ELSE state END,
                run_at = CASE WHEN waits_for <= met.number AND run_at < \(clock.now) THEN \(clock.now) ELSE run_at END
            FROM (SELECT job, count(*) AS number FROM apus_job_dependency WHERE \(isMet) GROUP BY job) AS met
            WHERE apus_job.id = met.job AND apus_job.state = 'waiting'
            RETURNING CASE WHEN waits_for = 0 THEN queue END
            """,
            "DELETE FROM apus_job_dependency WHERE \(isMet) RETURNING NULL",
        ]
    }

    /// Ends an attempt at a job, which runs again when others are completed.
    func suspend(_ job: JobRecord, until others: [JobRecord.ID]) -> [SQL] {
        let isOwn: SQL = "id = \(job.id) AND fence = \(job.fence) AND state = 'running'"
        let count: SQL = "(SELECT count(*) FROM apus_job_dependency WHERE job = \(job.id))"
        return [
            // The lock of the others makes their completion wait until this is visible to it.
            """
            INSERT INTO apus_job_dependency (needs, job)
            SELECT id, CAST(\(job.id) AS \(type: .identifier)) FROM apus_job
            WHERE id IN \(list: others) AND state IN ('waiting', 'available', 'running') AND EXISTS (SELECT 1 FROM apus_job WHERE \(isOwn))
            ORDER BY id\(SQL.rowLock)
            ON CONFLICT (needs, job) DO NOTHING RETURNING NULL
            """,
            """
            UPDATE apus_job
            SET waits_for = \(count), state = CASE WHEN \(count) > 0 THEN 'waiting' ELSE 'available' END,
                run_at = \(clock.now), worker = NULL, attempt = attempt - 1
            WHERE \(isOwn) RETURNING id
            """,
        ]
    }

    /// Cancels the jobs that wait for cancelled or deleted ones, and those that wait for these.
    ///
    /// On Postgres, it is done twice: a job that is enqueued at the same time, to run after one of those that are cancelled,
    /// is not visible to the first statement, which waits for its transaction, but is to the second.
    func cancelDependents(of jobs: [JobRecord.ID]) -> [SQL] {
        let cancellation: SQL = """
            WITH RECURSIVE dependent (id) AS (
                SELECT job FROM apus_job_dependency
                WHERE needs IN \(list: jobs)
                    AND NOT EXISTS (SELECT 1 FROM apus_job WHERE apus_job.id = needs AND apus_job.state <> 'cancelled')
                UNION
                SELECT job FROM apus_job_dependency JOIN dependent ON needs = dependent.id
            )
            UPDATE apus_job
            SET state = 'cancelled', finished_at = \(clock.now), last_error = 'A job for which it waited was cancelled or deleted.'
            WHERE state = 'waiting' AND id IN (SELECT id FROM dependent)
            RETURNING NULL
            """
        return database.dialect == .postgres ? [cancellation, cancellation] : [cancellation]
    }

    /// Deletes what belongs to deleted jobs, and cancels the jobs that wait for them.
    func deleteTraces(of jobs: [JobRecord.ID]) -> [SQL] {
        cancelDependents(of: jobs) + [
            "DELETE FROM apus_job_error WHERE job IN \(list: jobs) RETURNING NULL",
            "DELETE FROM apus_job_step WHERE job IN \(list: jobs) RETURNING NULL",
            "DELETE FROM apus_job_dependency WHERE job IN \(list: jobs) RETURNING NULL",
            "DELETE FROM apus_job_dependency WHERE needs IN \(list: jobs) RETURNING NULL",
        ]
    }
}
