public import ApusCore
import ApusData
public import Logging
import Synchronization

/// One attempt at a job.
public final class JobContext: Sendable {
    /// The job's id: the same for every attempt, so it makes a good idempotency key.
    public let id: JobRecord.ID
    /// The number of this attempt, from 1.
    public let attempt: Int
    /// The number of attempts there are.
    public let maxAttempts: Int
    /// A logger that carries the job's id and kind.
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

    /// Completes the job in the present transaction: its effects and the word that they are done are committed together.
    /// - Throws: An `AppError` of code `aborted` when another worker has taken the job over; the transaction must not commit.
    public func complete() async throws {
        guard try await store.complete(id, fence: fence) else {
            throw AppError(.aborted, "The job's lease was lost to another worker.")
        }
        UnitOfWork.afterCommit { self.completed.withLock { $0 = true } }
    }

    var isCompleted: Bool { completed.withLock { $0 } }
}
