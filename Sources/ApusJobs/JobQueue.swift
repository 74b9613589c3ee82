public import ApusCore
public import ApusData
import ApusJSON
import FoundationEssentials

/// Where jobs are put, and kept until they are done.
///
/// Inside a `UnitOfWork` a job is enqueued with everything else that happens there, or not at all.
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
    ///   - delay: How long it must wait at least.
    ///   - uniqueKey: While a job of this kind with the same key waits or runs, another one is not taken in.
    /// - Returns: The job's id; `nil` when it was not taken in because of its key.
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
        UnitOfWork.afterCommit { signal.notify() }
        return id
    }

    /// The jobs in a state, the latest first.
    public func list(_ state: JobRecord.State, limit: Int = 100) async throws -> [JobRecord] {
        try await database.query(
            "SELECT * FROM apus_jobs WHERE state = \(state) ORDER BY id DESC LIMIT \(limit)"
        ).map(JobRecord.init(row:))
    }

    /// Gives a dead letter all its attempts again.
    /// - Throws: An `AppError` of code `notFound` when there is no dead letter of this id.
    public func retry(_ id: JobRecord.ID) async throws {
        let count = try await database.execute(
            """
            UPDATE apus_jobs SET state = \(JobRecord.State.available), attempt = 0, run_at = \(clock.now), finished_at = NULL
            WHERE id = \(id) AND state = \(JobRecord.State.discarded)
            """)
        guard count > 0 else { throw AppError(.notFound, "There is no dead letter with the id \(id).") }
        signal.notify()
    }
}
