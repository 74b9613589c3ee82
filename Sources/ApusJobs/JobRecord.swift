public import ApusCore
public import ApusData
public import FoundationEssentials

/// A stored job.
public struct JobRecord: Identifiable, Sendable {
    public typealias ID = Identifier<JobRecord>

    /// The state of a job.
    public enum State: String, Sendable, SQLValueConvertible {
        /// Waiting for its time or for a free worker.
        case available
        /// An attempt is in progress.
        case running
        /// Performed successfully.
        case completed
        /// A dead letter, which needs manual intervention.
        case discarded
    }

    public let id: ID
    /// The ``Job/name`` of the job.
    public let kind: String
    /// The arguments, as JSON.
    public let payload: String
    public let state: State
    /// The number of attempts started.
    public let attempt: Int
    public let maxAttempts: Int
    /// The fencing token. It increases with each attempt, so that a worker that lost its lease cannot complete a job
    /// that another one has taken over.
    public let fence: Int
    /// The earliest time of the next attempt.
    public let runAt: Date
    /// The error of the last attempt.
    public let lastError: String?

    init(row: Row) throws {
        id = try row.get("id")
        kind = try row.get("kind")
        payload = try row.get("payload")
        state = try row.get("state")
        attempt = try row.get("attempt")
        maxAttempts = try row.get("max_attempts")
        fence = try row.get("fence")
        runAt = try row.get("run_at")
        lastError = try row.get("last_error")
    }
}

/// The migration that creates the table of jobs. Apps with a database apply it automatically.
public enum CreateJobs: Migration {
    public static let id = "apus-0001-jobs"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_jobs (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            payload TEXT NOT NULL,
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 0,
            max_attempts INTEGER NOT NULL,
            fence \(type: .integer) NOT NULL DEFAULT 0,
            unique_key TEXT,
            run_at \(type: .timestamp) NOT NULL,
            lease_until \(type: .timestamp),
            last_error TEXT,
            created_at \(type: .timestamp) NOT NULL,
            finished_at \(type: .timestamp)
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_jobs_available ON apus_jobs (run_at, id) WHERE state = 'available'",
        "CREATE INDEX apus_jobs_running ON apus_jobs (lease_until) WHERE state = 'running'",
        "CREATE INDEX apus_jobs_finished ON apus_jobs (state, finished_at) WHERE finished_at IS NOT NULL",
        """
        CREATE UNIQUE INDEX apus_jobs_unique ON apus_jobs (kind, unique_key)
        WHERE unique_key IS NOT NULL AND state IN ('available', 'running')
        """,
    ]
    public static let undo: [SQL] = ["DROP TABLE apus_jobs"]
}
