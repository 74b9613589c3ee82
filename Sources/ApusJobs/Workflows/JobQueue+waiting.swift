public import ApusCore
import ApusData
import FoundationEssentials

extension JobQueue {
    /// Returns the jobs for which a job waits.
    public func needs(of id: JobRecord.ID) async throws -> [JobRecord.ID] {
        try await database.query("SELECT needs FROM apus_job_dependency WHERE job = \(id) ORDER BY needs").map {
            try $0.get(0)
        }
    }

    /// Enqueues a job that runs after others.
    func enqueueWaiting<Work: Job>(_ job: Work, _ options: JobOptions, _ trace: String?) async throws -> EnqueuedJob {
        try await database.transaction(.retryable) {
            let needs = try await lock(options.after)
            let new = try NewJob(job, options, waitsFor: needs.count, now: clock.now, trace: trace)
            let enqueued = try await insert(new)
            if enqueued.isNew { try await add([new], waitingFor: needs) }
            return enqueued
        }
    }

    /// Enqueues jobs that run after others.
    func enqueueWaiting<Work: Job>(
        contentsOf jobs: [Work], _ options: JobOptions, _ trace: String?
    ) async throws -> Int {
        try await database.transaction(.retryable) {
            let needs = try await lock(options.after)
            var count = 0
            for job in jobs {
                let new = try NewJob(job, options, waitsFor: needs.count, now: clock.now, trace: trace)
                guard try await insert(new).isNew else { continue }
                try await add([new], waitingFor: needs)
                count += 1
            }
            return count
        }
    }

    private func add(_ jobs: [NewJob], waitingFor needs: [JobRecord.ID]) async throws {
        _ = try await database.insert(
            into: "apus_job_dependency", columns: ["needs", "job"],
            rows: jobs.flatMap { job in needs.map { [$0, job.id] } })
    }

    /// Locks jobs, so that they are not completed before the transaction is committed.
    /// - Returns: Those that are not completed.
    /// - Throws: An `AppError` of code `notFound` or `failedPrecondition`.
    private func lock(_ ids: [JobRecord.ID]) async throws -> [JobRecord.ID] {
        let rows = try await database.query(
            "SELECT id, state FROM apus_job WHERE id IN \(list: ids) ORDER BY id\(SQL.rowLock)")
        let states: [(id: JobRecord.ID, state: JobState)] = try rows.map { (try $0.get(0), try $0.get(1)) }
        if let missing = ids.first(where: { id in !states.contains { $0.id == id } }) {
            throw AppError(.notFound, "A job cannot run after the job \(missing), which does not exist.")
        }
        if let cancelled = states.first(where: { $0.state == .cancelled }) {
            throw AppError(.failedPrecondition, "A job cannot run after the job \(cancelled.id), which is cancelled.")
        }
        return states.filter { $0.state != .completed }.map(\.id)
    }
}
