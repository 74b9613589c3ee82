public import ApusCore
public import ApusData
public import FoundationEssentials

/// A job as it is stored.
public struct JobRecord: Identifiable, Sendable {
    public typealias ID = Identifier<JobRecord>

    /// What a job is waiting for.
    public enum State: String, Sendable, SQLValueConvertible {
        /// Its time, or a free worker.
        case available
        /// The end of an attempt.
        case running
        /// Nothing: it was done.
        case completed
        /// A person: it is a dead letter.
        case discarded
    }

    public let id: ID
    /// The ``Job/name``.
    public let kind: String
    /// The arguments, as JSON.
    public let payload: String
    public let state: State
    /// The number of attempts begun.
    public let attempt: Int
    public let maxAttempts: Int
    /// Grows with each attempt: a worker that lost its lease cannot complete what another one has taken over.
    public let fence: Int
    /// When it is to be tried next.
    public let runAt: Date
    /// Why the last attempt failed.
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

/// The table of jobs. An app with workers has it among its migrations.
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
            fence BIGINT NOT NULL DEFAULT 0,
            unique_key TEXT,
            run_at BIGINT NOT NULL,
            lease_until BIGINT,
            last_error TEXT,
            created_at BIGINT NOT NULL,
            finished_at BIGINT
        )
        """,
        "CREATE INDEX apus_jobs_available ON apus_jobs (run_at, id) WHERE state = 'available'",
        "CREATE INDEX apus_jobs_running ON apus_jobs (lease_until) WHERE state = 'running'",
        "CREATE INDEX apus_jobs_finished ON apus_jobs (state, finished_at) WHERE finished_at IS NOT NULL",
        """
        CREATE UNIQUE INDEX apus_jobs_unique ON apus_jobs (kind, unique_key)
        WHERE unique_key IS NOT NULL AND state IN ('available', 'running')
        """,
    ]
}
