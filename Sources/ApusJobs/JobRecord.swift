public import ApusCore
public import ApusData
public import FoundationEssentials

/// A stored job.
public struct JobRecord: Identifiable, Sendable {
    public typealias ID = Identifier<JobRecord>

    public let id: ID
    /// The ``Job/name`` of the job.
    public let kind: String
    /// The arguments, as JSON, and their version.
    public let arguments: JobArguments
    public let queue: String
    public let priority: JobPriority
    public let state: JobState
    /// The number of attempts started.
    public let attempt: Int
    public let maxAttempts: Int
    /// The maximum duration of an attempt; `nil` if it is that of the kind.
    public let timeout: Duration?
    public let tags: [String]
    /// What makes the job the same as another one of its kind.
    public let uniqueKey: String?
    /// The key of the group of the job, see ``Job/group``.
    public let group: String?
    /// The fencing token. It increases with each attempt, so that a worker that lost its lease cannot complete a job
    /// that another one has taken over.
    public let fence: Int
    /// The earliest time of the next attempt.
    public let runAt: Date
    public let createdAt: Date
    /// When the last attempt started.
    public let attemptedAt: Date?
    /// When the job was completed, cancelled or discarded.
    public let finishedAt: Date?
    /// The error of the last attempt that has failed.
    public let lastError: String?
    /// The trace context in which the job was enqueued, as JSON.
    let trace: String?

    /// The columns that ``init(row:)`` reads, in order.
    static let columns: SQL = """
        id, kind, payload, version, queue, priority, state, attempt, max_attempts, timeout, tags, unique_key, group_key, fence,
        run_at, created_at, attempted_at, finished_at, last_error, trace
        """

    /// The same, with nothing instead of the arguments and the trace context, which may be large.
    static let columnsWithoutArguments: SQL = """
        id, kind, '' AS payload, version, queue, priority, state, attempt, max_attempts, timeout, tags, unique_key, group_key,
        fence, run_at, created_at, attempted_at, finished_at, last_error, NULL AS trace
        """

    init(row: Row) throws {
        id = try row.get(0)
        kind = try row.get(1)
        arguments = JobArguments(json: try row.get(2), version: try row.get(3))
        queue = try row.get(4)
        priority = JobPriority(rawValue: try row.get(5)) ?? .low
        state = try row.get(6)
        attempt = try row.get(7)
        maxAttempts = try row.get(8)
        timeout = try (row.get(9) as Int?).map { .microseconds($0) }
        tags = try (row.get(10) as String?).map { $0.split(separator: "\n").map(String.init) } ?? []
        uniqueKey = try row.get(11)
        group = try row.get(12)
        fence = try row.get(13)
        runAt = try row.get(14)
        createdAt = try row.get(15)
        attemptedAt = try row.get(16)
        finishedAt = try row.get(17)
        lastError = try row.get(18)
        trace = try row.get(19)
    }
}

/// Why an attempt at a job has failed.
public struct JobError: Sendable, RowDecodable {
    /// The number of the attempt, starting at 1.
    public let attempt: Int
    public let time: Date
    /// The error with its causes.
    public let description: String

    public init(row: Row) throws {
        attempt = try row.get(0)
        time = try row.get(1)
        description = try row.get(2)
    }
}
