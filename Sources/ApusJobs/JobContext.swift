public import ApusCore
import ApusData
public import Logging
import Synchronization

/// One attempt at a job.
public final class JobContext: Sendable {
    /// The id of the job. It is the same for every attempt, and therefore suitable as an idempotency key.
    public var id: JobRecord.ID { job.id }
    /// The number of this attempt, starting at 1.
    public var attempt: Int { job.attempt }
    /// The maximum number of attempts.
    public var maxAttempts: Int { job.maxAttempts }
    /// The job as it is stored.
    public let job: JobRecord
    /// A logger whose metadata contains the id and the kind of the job.
    public let logger: Logger

    let store: JobStore
    private let signal: JobSignal
    private let completed = Mutex(false)

    init(_ job: JobRecord, store: JobStore, signal: JobSignal, logger: Logger) {
        self.job = job
        self.store = store
        self.signal = signal
        var logger = logger
        logger[metadataKey: "job_id"] = .stringConvertible(job.id)
        logger[metadataKey: "job"] = .string(job.kind)
        self.logger = logger
    }

    /// Completes the job in the current transaction, so that its effects and its completion are committed together.
    /// - Throws: An `AppError` of code `aborted` if another worker has taken over the job; the transaction must not
    ///   commit.
    public func complete() async throws {
        try await store.database.transaction {
            guard let released = try await store.complete(job.id, fence: job.fence) else { throw Self.leaseLost }
            UnitOfWork.afterCommit(of: store.database) { [self] in
                completed.withLock { $0 = true }
                for queue in released { signal.enqueued(in: queue) }
                signal.outcomesStored()
            }
        }
    }

    /// Runs a closure and completes the job in one transaction: what the closure changes in the database is done exactly
    /// once.
    /// - Throws: The error of the closure, or an `AppError` of code `aborted` if another worker has taken over the job.
    ///   Nothing is changed then.
    public func complete<Result: Sendable>(with effects: () async throws -> Result) async throws -> Result {
        try await store.database.transaction {
            let result = try await effects()
            try await complete()
            return result
        }
    }

    static var leaseLost: AppError { AppError(.aborted, "The job's lease was lost to another worker.") }

    var isCompleted: Bool { completed.withLock { $0 } }
}
