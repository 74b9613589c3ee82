/// Work to be done later, and certainly: its arguments, stored as JSON until a ``Worker`` has done it.
///
/// A job is done at least once. It may be done again after a crash, so its worker must bear that: by an identifier that
/// the other side knows, or by ``JobContext/complete()`` in the same transaction as its effects.
public protocol Job: Codable, Sendable {
    /// The name under which it is stored. Stable: a job enqueued by yesterday's program is run by today's.
    static var name: String { get }
    /// How often it is tried before it becomes a dead letter. 20 by default.
    static var maxAttempts: Int { get }
    /// How long one attempt may take. 60 seconds by default.
    static var timeout: Duration { get }
}

extension Job {
    public static var maxAttempts: Int { 20 }
    public static var timeout: Duration { .seconds(60) }
}

/// Does jobs of one kind.
///
/// What it throws decides what becomes of the job: an `AppError` whose code is transient, or any other error, is tried
/// again after a growing pause; an `AppError` that no retry can mend makes the job a dead letter at once.
public protocol Worker<Work>: Sendable {
    associatedtype Work: Job

    /// - Parameters:
    ///   - job: What to do.
    ///   - context: Which attempt this is, and how to complete it within a transaction.
    func perform(_ job: Work, _ context: JobContext) async throws
}
