public import ApusCore
public import ApusData
import ApusJSON
import FoundationEssentials

/// A durable queue of jobs, stored in the database.
///
/// Inside a `UnitOfWork`, a job is enqueued only if the unit of work is committed.
public final class JobQueue: Sendable {
    package let database: any Database
    package let clock: any WallClock
    package let signal = JobSignal()

    public init(_ database: any Database, clock: any WallClock = SystemClock()) {
        self.database = database
        self.clock = clock
    }

    /// Enqueues a job.
    /// - Parameters:
    ///   - delay: The minimum delay before the job runs.
    ///   - uniqueKey: While a job of the same kind with the same key is available or running, no other one is enqueued.
    /// - Returns: The id of the job, or `nil` if it was not enqueued because of its key.
    @discardableResult
    public func enqueue<Work: Job>(
        _ job: Work, after delay: Duration = .zero, uniqueKey: String? = nil
    ) async throws -> JobRecord.ID? {
        let id = JobRecord.ID()
        let now = clock.now
        let payload = String(decoding: try JSON.Encoder.standard.encode(job), as: UTF8.self)
        let count = try await database.execute(
            """
            INSERT INTO apus_jobs (id, kind, payload, state, max_attempts, unique_key, run_at, created_at)
            VALUES (\(id), \(Work.name), \(payload), \(JobRecord.State.available), \(Work.maxAttempts), \(uniqueKey.sqlValue),
                \(now.addingTimeInterval(delay.seconds)), \(now))
            ON CONFLICT DO NOTHING
            """)
        guard count > 0 else { return nil }
        let signal = signal
        UnitOfWork.afterCommit(of: database) { signal.notify() }
        return id
    }

    /// Returns the jobs in a state, newest first.
    public func list(_ state: JobRecord.State, limit: Int = 100) async throws -> [JobRecord] {
        try await database.query(
            "SELECT * FROM apus_jobs WHERE state = \(state) ORDER BY id DESC LIMIT \(limit)"
        ).map(JobRecord.init(row:))
    }

    /// Makes a dead letter available again, with its number of attempts reset to 0.
    /// - Throws: An `AppError` of code `notFound` if there is no dead letter with this id, and of code `alreadyExists` if
    ///   another job with its unique key is waiting.
    public func retry(_ id: JobRecord.ID) async throws {
        let count = try await database.execute(
            """
            UPDATE apus_jobs SET state = \(JobRecord.State.available), attempt = 0, run_at = \(clock.now), finished_at = NULL
            WHERE id = \(id) AND state = \(JobRecord.State.discarded)
            """)
        guard count > 0 else { throw AppError(.notFound, "No dead letter with the id \(id) was found.") }
        UnitOfWork.afterCommit(of: database) { [signal] in signal.notify() }
    }
}
