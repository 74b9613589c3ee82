public import ApusCore
import ApusData
import FoundationEssentials

/// What an administrator does with jobs.
extension JobQueue {
    /// Makes a job that is discarded, cancelled or completed, or that waits for its time, available now, with its number of
    /// attempts reset to 0.
    /// - Throws: An `AppError` of code `notFound` if there is no such job, `failedPrecondition` if it is running or waits for
    ///   others, and `alreadyExists` if another job forbids it, see ``Job/uniqueness``.
    public func retry(_ id: JobRecord.ID) async throws {
        let change: SQL = """
            UPDATE apus_job SET state = 'available', attempt = 0, waits_for = 0, run_at = \(clock.now), finished_at = NULL
            WHERE id = \(id) AND state NOT IN ('running', 'waiting') RETURNING queue
            """
        let rows = try await database.transaction {
            let rows = try await database.query(change)
            if !rows.isEmpty { try await database.execute(forget([id])) }
            return rows
        }
        guard let row = rows.first else { throw try await refusal(of: id, "run again") }
        wake(try row.get(0))
    }

    /// The statement after which jobs that are available again no longer wait for those with which they were cancelled.
    private func forget(_ ids: [JobRecord.ID]) -> SQL {
        """
        DELETE FROM apus_job_dependency
        WHERE job IN (SELECT id FROM apus_job WHERE id IN \(list: ids) AND state = 'available')
        """
    }

    /// Makes dead letters available again, with their numbers of attempts reset to 0, except those that other jobs forbid.
    /// - Parameters:
    ///   - kind: If given, only jobs of this kind.
    ///   - queue: If given, only jobs of this queue.
    /// - Returns: The number of jobs.
    @discardableResult
    public func retryDiscarded(kind: String? = nil, queue: String? = nil) async throws -> Int {
        try await retryDiscarded(kind: kind, queue: queue, limit: .max).count
    }

    /// Makes dead letters available again.
    /// - Parameter limit: After how many of them to stop.
    /// - Returns: The number of jobs, and whether there are no more.
    package func retryDiscarded(
        kind: String?, queue: String?, limit: Int
    ) async throws -> (count: Int, isComplete: Bool) {
        var count = 0
        var last: JobRecord?
        while count < limit {
            let page = try await list(.discarded, kind: kind, queue: queue, after: last, limit: 500)
            guard let final = page.last else { return (count, true) }
            count += try await retry(page.map(\.id))
            for queue in Set(page.map { ExactString($0.queue) }) { wake(queue.text) }
            last = final
        }
        return (count, false)
    }

    /// Makes those of some dead letters available that no other job forbids.
    private func retry(_ ids: [JobRecord.ID]) async throws -> Int {
        let change: SQL = """
            UPDATE apus_job SET state = 'available', attempt = 0, waits_for = 0, run_at = \(clock.now), finished_at = NULL
            WHERE id IN \(list: ids) AND state = 'discarded' RETURNING id
            """
        do {
            return try await database.batch([change, forget(ids)])[0].count
        } catch let error as AppError where error.code == .alreadyExists && ids.count > 1 {
            // One of them is forbidden.
            let half = ids.count / 2
            return try await retry(Array(ids[..<half])) + retry(Array(ids[half...]))
        } catch let error as AppError where error.code == .alreadyExists {
            return 0
        }
    }

    /// Cancels a job that is not done, and the jobs that wait for it. If it runs, its worker is cancelled: at once in
    /// this process and where the notification arrives, else with the next beat of its process. Until it ends, it no longer counts for
    /// the limits of the queue.
    /// - Throws: An `AppError` of code `notFound` if there is no such job, `failedPrecondition` if it is done.
    public func cancel(_ id: JobRecord.ID) async throws {
        let cancellation: SQL = """
            UPDATE apus_job SET state = 'cancelled', finished_at = \(clock.now), worker = NULL, fence = fence + 1
            WHERE id = \(id) AND state IN ('waiting', 'available', 'running') RETURNING id
            """
        // The jobs that wait for it are cancelled with it.
        let rows = try await database.batch([cancellation] + store.cancelDependents(of: [id]))
        guard !rows[0].isEmpty else { throw try await refusal(of: id, "be cancelled") }
        UnitOfWork.afterCommit(of: database) { [signal] in signal.cancelled() }
    }

    /// Deletes a job that is done, and its errors. The jobs that wait for it are cancelled.
    /// - Throws: An `AppError` of code `notFound` if there is no such job, `failedPrecondition` if it is not done.
    public func delete(_ id: JobRecord.ID) async throws {
        try await database.transaction {
            let count = try await database.execute(
                "DELETE FROM apus_job WHERE id = \(id) AND state IN ('completed', 'cancelled', 'discarded')")
            guard count > 0 else { throw try await refusal(of: id, "be deleted") }
            _ = try await database.batch(store.deleteTraces(of: [id]))
        }
    }

    /// Stops all processes from starting jobs of a queue. Running ones go on.
    /// - Throws: An `AppError` of code `invalidArgument` if no queue can have the name.
    public func pause(_ queue: String) async throws {
        try NewJob.validate(queue: queue)
        try await database.execute(
            """
            INSERT INTO apus_job_queue (name, paused_at) VALUES (\(queue), \(clock.now))
            ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at
            """)
    }

    /// Lets all processes start jobs of a queue again.
    public func resume(_ queue: String) async throws {
        try await database.execute("UPDATE apus_job_queue SET paused_at = NULL WHERE name = \(queue)")
        wake(queue)
    }

    private func wake(_ queue: String) {
        UnitOfWork.afterCommit(of: database) { [signal] in signal.enqueued(in: queue) }
    }

    private func refusal(of id: JobRecord.ID, _ action: String) async throws -> AppError {
        guard let job = try await find(id) else { return AppError(.notFound, "There is no job with the id \(id).") }
        return AppError(.failedPrecondition, "The job \(id) is \(job.state.rawValue) and cannot \(action).")
    }
}
