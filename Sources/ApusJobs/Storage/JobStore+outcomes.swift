import ApusCore
import ApusData
import FoundationEssentials

/// What has become of an attempt.
struct Outcome: Sendable {
    enum Kind: Sendable {
        case completed
        /// The job runs again at a time. Whether the attempt counts.
        case again(Date, counts: Bool)
        /// The job runs again when others are completed.
        case waiting([JobRecord.ID])
        case cancelled
        case discarded
    }

    let job: JobRecord
    let kind: Kind
    /// Why the attempt has failed, if it has.
    var error: String?
}

extension JobStore {
    /// Stores outcomes, in one transaction.
    /// - Returns: The ids of the jobs whose leases had been lost, whose outcomes have no effect, and the queues of the jobs
    ///   that waited for these.
    func store(_ outcomes: [Outcome]) async throws -> (lost: Set<JobRecord.ID>, released: Set<String>) {
        let now = clock.now
        var completed: [Outcome] = []
        var cancelled: [JobRecord.ID] = []
        var statements: [SQL] = []
        for outcome in outcomes {
            switch outcome.kind {
            case .completed: completed.append(outcome)
            case .waiting(let others): statements += suspend(outcome.job, until: others)
            case .cancelled:
                cancelled.append(outcome.job.id)
                statements.append(change(outcome, now))
            case .again, .discarded: statements.append(change(outcome, now))
            }
        }
        if !completed.isEmpty {
            statements.append(
                """
                UPDATE apus_job SET state = 'completed', finished_at = \(now), worker = NULL
                FROM \(pairs(completed.map { ($0.job.id, $0.job.fence) })) AS done
                WHERE apus_job.id = done.id AND apus_job.fence = done.number AND state = 'running'
                RETURNING apus_job.id
                """)
        }
        for outcome in outcomes {
            guard let error = outcome.error else { continue }
            statements.append(
                """
                INSERT INTO apus_job_error (job, attempt, failed_at, description)
                SELECT id, \(outcome.job.attempt), \(now), \(error) FROM apus_job
                WHERE id = \(outcome.job.id) AND fence = \(outcome.job.fence)
                RETURNING NULL
                """)
        }
        if !cancelled.isEmpty { statements += cancelDependents(of: cancelled) }
        let count = statements.count
        if !completed.isEmpty { statements += release(after: completed.map(\.job.id)) }
        let rows = try await database.batch(statements)
        let stored = Set(try rows[..<count].joined().compactMap { try $0.get(0) as JobRecord.ID? })
        let released = Set(try rows[count...].joined().compactMap { try $0.get(0) as String? })
        return (Set(outcomes.map(\.job.id)).subtracting(stored), released)
    }

    private func change(_ outcome: Outcome, _ now: Date) -> SQL {
        let state: JobState
        var (runAt, finishedAt, uncounted) = (outcome.job.runAt, now as Date?, 0)
        switch outcome.kind {
        case .completed, .waiting: preconditionFailure("These have statements of their own.")
        case .cancelled: state = .cancelled
        case .discarded: state = .discarded
        case .again(let time, let counts):
            (state, runAt, finishedAt) = (.available, time, nil)
            uncounted = counts ? 0 : 1
        }
        return """
            UPDATE apus_job
            SET state = \(state), run_at = \(runAt), finished_at = \(finishedAt.sqlValue), worker = NULL,
                attempt = attempt - \(uncounted), last_error = COALESCE(\(outcome.error.sqlValue), last_error)
            WHERE id = \(outcome.job.id) AND fence = \(outcome.job.fence) AND state = 'running'
            RETURNING id
            """
    }

    /// Marks a job as completed.
    /// - Returns: The queues of the jobs that waited for it; `nil` if the attempt had lost the lease.
    func complete(_ id: JobRecord.ID, fence: Int) async throws -> Set<String>? {
        let completion: SQL = """
            UPDATE apus_job SET state = 'completed', finished_at = \(clock.now), worker = NULL
            WHERE id = \(id) AND fence = \(fence) AND state = 'running' RETURNING id
            """
        let rows = try await database.batch([completion] + release(after: [id]))
        guard !rows[0].isEmpty else { return nil }
        return Set(try rows[1...].joined().compactMap { try $0.get(0) as String? })
    }
}
