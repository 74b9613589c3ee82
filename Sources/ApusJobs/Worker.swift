public import ApusCore

/// Performs jobs of one kind.
///
/// The error that it throws determines what happens to the job. After an `AppError` with a transient code, or an error
/// of another type, the job is retried with an increasing delay. After an `AppError` that a retry cannot fix, the job
/// becomes a dead letter immediately. A ``JobDecision`` says itself what happens.
public protocol Worker<Work>: Sendable {
    associatedtype Work: Job

    /// Performs a job.
    /// - Parameters:
    ///   - job: The job, with its arguments.
    ///   - context: The current attempt, which can complete the job within a transaction.
    func perform(_ job: Work, _ context: JobContext) async throws

    /// Returns the delay before the next attempt. By default the fourth power of the number of the attempt in seconds, at
    /// most a day, ± 10 %, or the error's `retryAfter` if that is longer.
    /// - Parameters:
    ///   - attempt: The number of the attempt that has failed, starting at 1.
    ///   - error: Why it has failed.
    func delay(afterAttempt attempt: Int, error: AppError) -> Duration
}

extension Worker {
    public func delay(afterAttempt attempt: Int, error: AppError) -> Duration {
        max(Backoff.delay(afterAttempt: attempt), error.details.retryAfter ?? .zero)
    }
}

/// What happens to a job, thrown by its worker.
///
/// ```swift
/// guard store.isOpen else { throw JobDecision.snooze(.seconds(600)) }
/// ```
public enum JobDecision: Error, Sendable, Hashable {
    /// The job runs again after a delay. The attempt does not count.
    case snooze(Duration)
    /// The job runs again when others are completed. The attempt does not count. ``JobContext/wait(for:)`` throws it.
    case wait(for: [JobRecord.ID])
    /// The job is not needed any more, for a reason.
    case cancel(String)
    /// The job becomes a dead letter, for a reason, however many attempts it has left.
    case discard(String)
}

/// The delay before the next attempt: the fourth power of the attempt number in seconds, at most a day, ± 10 %.
enum Backoff {
    static func delay(afterAttempt attempt: Int) -> Duration {
        let attempt = min(max(1, attempt), 20)
        let seconds = min(Double(attempt * attempt * attempt * attempt), 24 * 3600)
        return .seconds(seconds * Double.random(in: 0.9...1.1))
    }
}
