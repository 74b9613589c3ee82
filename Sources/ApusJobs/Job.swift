/// A durable background job. Its arguments are stored as JSON until a ``Worker`` has performed it.
///
/// A job is performed at least once. It may be performed again after a crash, so its worker must be idempotent: pass
/// the other system an idempotency key, or call ``JobContext/complete()`` in the same transaction as the job's effects.
public protocol Job: Codable, Sendable {
    /// The stored name of the job. It must be stable: a new version of the program runs jobs that an old one enqueued.
    static var name: String { get }
    /// The maximum number of attempts before the job becomes a dead letter. 20 by default.
    static var maxAttempts: Int { get }
    /// The maximum duration of one attempt. 60 seconds by default.
    static var timeout: Duration { get }
}

extension Job {
    public static var maxAttempts: Int { 20 }
    public static var timeout: Duration { .seconds(60) }
}

/// Performs jobs of one kind.
///
/// The error that it throws determines what happens to the job. After an `AppError` with a transient code, or an error
/// of another type, the job is retried with an increasing delay. After an `AppError` that a retry cannot fix, the job
/// becomes a dead letter immediately.
public protocol Worker<Work>: Sendable {
    associatedtype Work: Job

    /// Performs a job.
    /// - Parameters:
    ///   - job: The job, with its arguments.
    ///   - context: The current attempt, which can complete the job within a transaction.
    func perform(_ job: Work, _ context: JobContext) async throws
}
