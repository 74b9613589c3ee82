public import FoundationEssentials

/// How one job is enqueued. What is not set is as its type says.
public struct JobOptions: Sendable {
    /// The minimum delay before the job runs. Added to ``time``.
    public var delay: Duration
    /// The earliest time at which the job runs. By default now.
    public var time: Date?
    /// The queue.
    public var queue: String?
    /// Which of the due jobs of the queue run first.
    public var priority: JobPriority?
    /// The maximum number of attempts, at least 1.
    public var maxAttempts: Int?
    /// The maximum duration of one attempt.
    public var timeout: Duration?
    /// Words by which jobs can be found.
    public var tags: [String]
    /// While a job of the same kind with the same key is not done, no other one is enqueued. Replaces ``Job/uniqueness``.
    public var uniqueKey: String?
    /// The jobs that must be completed before this one runs. It waits while one of them is a dead letter, and is cancelled
    /// if one is cancelled or deleted.
    public var after: [JobRecord.ID]

    /// Creates options.
    public init(
        delay: Duration = .zero, time: Date? = nil, queue: String? = nil, priority: JobPriority? = nil,
        maxAttempts: Int? = nil, timeout: Duration? = nil, tags: [String] = [], uniqueKey: String? = nil,
        after: [JobRecord.ID] = []
    ) {
        self.delay = delay
        self.time = time
        self.queue = queue
        self.priority = priority
        self.maxAttempts = maxAttempts
        self.timeout = timeout
        self.tags = tags
        self.uniqueKey = uniqueKey
        self.after = after
    }
}
