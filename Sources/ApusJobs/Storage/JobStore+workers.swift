import ApusCore
import ApusData
import FoundationEssentials

/// A process that performs jobs, from its start until it stops or has lost its leases.
enum WorkerSession {}
typealias WorkerID = Identifier<WorkerSession>

/// Why an attempt no longer decides what becomes of its job.
enum LossReason: String, Sendable {
    /// Somebody has cancelled the job.
    case cancelled
    /// The lease was lost, and the job was given to others.
    case lost
}

extension JobStore {
    /// Registers a process. Its leases last as long as its beats are seen.
    func register(_ worker: WorkerID) async throws {
        let now = clock.now
        try await database.execute(
            """
            INSERT INTO apus_job_worker (id, beat, host, process, started_at, seen_at)
            VALUES (\(worker), 0, \(ProcessInfo.processInfo.hostName), \(Int(ProcessInfo.processInfo.processIdentifier)), \(now), \(now))
            """)
    }

    /// Stores the names of queues, so that they are known even if they have no jobs.
    func register(queues: [String]) async throws {
        for queue in queues {
            try await database.execute(
                "INSERT INTO apus_job_queue (name) VALUES (\(queue)) ON CONFLICT (name) DO NOTHING")
        }
    }

    /// Renews the leases of a process.
    /// - Returns: `false` if another process has declared it dead. Its jobs are not its own any more then.
    func beat(_ worker: WorkerID) async throws -> Bool {
        try await database.execute(
            "UPDATE apus_job_worker SET beat = beat + 1, seen_at = \(clock.now) WHERE id = \(worker)") > 0
    }

    /// Returns those of some attempts whose jobs were cancelled or given to others, and whether they were cancelled.
    func lost(_ attempts: [AttemptKey]) async throws -> [AttemptKey: LossReason] {
        var lost = Dictionary(uniqueKeysWithValues: attempts.map { ($0, LossReason.lost) })
        for start in stride(from: 0, to: attempts.count, by: 1000) {
            let ids = attempts[start..<min(start + 1000, attempts.count)].map(\.id)
            let rows = try await database.query(
                """
                SELECT id, fence, state FROM apus_job
                WHERE id IN \(list: ids) AND state IN ('running', 'completed', 'cancelled')
                """)
            for row in rows {
                let (id, fence): (JobRecord.ID, Int) = (try row.get(0), try row.get(1))
                // Cancelling a job that runs increases its fence.
                if try row.get(2) as JobState == .cancelled {
                    let key = AttemptKey(id: id, fence: fence - 1)
                    if lost[key] != nil { lost[key] = .cancelled }
                } else {
                    lost[AttemptKey(id: id, fence: fence)] = nil
                }
            }
        }
        return lost
    }

    /// Returns the attempts of a process, as they are stored.
    func attempts(of worker: WorkerID) async throws -> Set<AttemptKey> {
        let rows = try await database.query(
            "SELECT id, fence FROM apus_job WHERE state = 'running' AND worker = \(worker)")
        return Set(try rows.map { AttemptKey(id: try $0.get(0), fence: try $0.get(1)) })
    }

    /// Returns jobs of a process to the queue, uncounted.
    /// - Returns: The number of jobs.
    func giveBack(_ attempts: Set<AttemptKey>, of worker: WorkerID) async throws -> Int {
        try await database.execute(
            """
            UPDATE apus_job SET state = 'available', attempt = attempt - 1, worker = NULL
            FROM \(pairs(attempts.map { ($0.id, $0.fence) })) AS lost
            WHERE apus_job.id = lost.id AND apus_job.fence = lost.number AND state = 'running' AND worker = \(worker)
            """)
    }

    /// Returns the last beats of all processes.
    func beats() async throws -> [Beat] {
        try await database.query("SELECT id, beat FROM apus_job_worker").map {
            Beat(worker: try $0.get(0), number: try $0.get(1))
        }
    }

    /// Removes processes that are dead, unless they have been seen in the meantime.
    func remove(_ dead: [Beat]) async throws {
        for beat in dead {
            try await database.execute(
                "DELETE FROM apus_job_worker WHERE id = \(beat.worker) AND beat = \(beat.number)")
        }
    }

    /// Removes a process that has stopped.
    func remove(_ worker: WorkerID) async throws {
        try await database.execute("DELETE FROM apus_job_worker WHERE id = \(worker)")
    }

    /// Releases the running jobs of processes that are not registered. Those that are locked, because an open transaction
    /// completes them just now, are left out.
    /// - Returns: The number of released jobs.
    func releaseOrphans() async throws -> Int {
        let now = clock.now
        return try await database.change(
            reading: """
                SELECT id, fence, attempt FROM apus_job
                WHERE state = 'running' AND worker NOT IN (SELECT id FROM apus_job_worker)
                LIMIT 1000\(SQL.rowLockSkippingLocked)
                """
        ) { [self] rows in
            guard !rows.isEmpty else { return Change([], returning: 0) }
            let orphans: [(JobRecord.ID, Int)] = try rows.map { (try $0.get(0), try $0.get(1)) }
            let error = "The worker died."
            let release: SQL = """
                UPDATE apus_job
                SET state = CASE WHEN attempt >= max_attempts THEN 'discarded' ELSE 'available' END,
                    finished_at = CASE WHEN attempt >= max_attempts THEN \(now) END,
                    run_at = \(now), worker = NULL, last_error = \(error)
                FROM \(pairs(orphans)) AS orphan
                WHERE apus_job.id = orphan.id AND apus_job.fence = orphan.number AND state = 'running'
                """
            let errors: SQL = """
                INSERT INTO apus_job_error (job, attempt, failed_at, description)
                SELECT apus_job.id, attempt, \(now), \(error) FROM apus_job
                JOIN \(pairs(orphans)) AS orphan ON apus_job.id = orphan.id
                """
            return Change([release, errors], returning: orphans.count)
        }
    }

    /// Deletes some jobs that were finished longer ago than their retention. Processes that do so at the same time do not
    /// wait for each other.
    /// - Returns: The number of deleted jobs. If it is the limit, there may be more.
    func deleteFinished(retention: [JobState: Duration], limit: Int) async throws -> Int {
        var count = 0
        for (state, duration) in retention {
            let deletion: SQL = """
                DELETE FROM apus_job WHERE id IN (
                    SELECT id FROM apus_job
                    WHERE state = \(state) AND finished_at < \(clock.now.addingTimeInterval(-duration.seconds))
                    ORDER BY finished_at LIMIT \(limit)\(SQL.rowLockSkippingLocked)
                ) RETURNING id
                """
            let deleted = try await database.transaction {
                let ids = try await database.query(deletion).map { try $0.get(0) as JobRecord.ID }
                if !ids.isEmpty { _ = try await database.batch(deleteTraces(of: ids)) }
                return ids.count
            }
            count = max(count, deleted)
        }
        return count
    }
}
