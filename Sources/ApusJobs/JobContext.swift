public import ApusCore
import ApusData
public import Logging
import Synchronization

/// One attempt at a job.
public final class JobContext: Sendable {
    /// The id of the job. It is the same for every attempt, and therefore suitable as an idempotency key.
    public let id: JobRecord.ID
    /// The number of this attempt, starting at 1.
    public let attempt: Int
    /// The maximum number of attempts.
    public let maxAttempts: Int
    /// A logger whose metadata contains the id and the kind of the job.
    public let logger: Logger

    private let store: JobStore
    private let fence: Int
    private let completed = Mutex(false)

    init(_ record: JobRecord, store: JobStore, logger: Logger) {
        id = record.id
        attempt = record.attempt
        maxAttempts = record.maxAttempts
        fence = record.fence
        self.store = store
        var logger = logger
        logger[metadataKey: "job_id"] = .string(record.id.description)
        logger[metadataKey: "job"] = .string(record.kind)
        self.logger = logger
    }

    /// Completes the job in the current transaction, so that its effects and its completion are committed together.
    /// - Throws: An `AppError` of code `aborted` if another worker has taken over the job; the transaction must not
    ///   commit.
    public func complete() async throws {
        guard try await store.complete(id, fence: fence) else {
            throw AppError(.aborted, "The job's lease was lost to another worker.")
        }
        UnitOfWork.afterCommit(of: store.database) { self.completed.withLock { $0 = true } }
    }

    var isCompleted: Bool { completed.withLock { $0 } }
}
