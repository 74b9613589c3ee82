public import ApusData

/// The first migration of jobs. Apps with a database apply it automatically.
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

/// The tables of job queues, with the unfinished jobs of ``CreateJobs``. Apps with a database apply it automatically.
public enum CreateJobQueues: Migration {
    public static let id = "apus-0004-job-queues"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_job (
            id \(type: .identifier) PRIMARY KEY,
            kind TEXT NOT NULL,
            version INTEGER NOT NULL,
            payload TEXT NOT NULL,
            queue TEXT NOT NULL,
            priority INTEGER NOT NULL,
            state TEXT NOT NULL,
            run_at \(type: .timestamp) NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 0,
            max_attempts INTEGER NOT NULL,
            timeout \(type: .integer),
            tags TEXT,
            unique_key TEXT,
            unique_states INTEGER NOT NULL DEFAULT 0,
            fence \(type: .integer) NOT NULL DEFAULT 0,
            worker \(type: .identifier),
            created_at \(type: .timestamp) NOT NULL,
            attempted_at \(type: .timestamp),
            finished_at \(type: .timestamp),
            last_error TEXT
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_job_available ON apus_job (queue, priority, run_at, id) WHERE state = 'available'",
        "CREATE INDEX apus_job_running ON apus_job (worker) WHERE state = 'running'",
        "CREATE INDEX apus_job_finished ON apus_job (state, finished_at) WHERE finished_at IS NOT NULL",
        "CREATE UNIQUE INDEX apus_job_unique ON apus_job (kind, unique_key) WHERE \(isUnique)",
        """
        CREATE TABLE apus_job_error (
            job \(type: .identifier) NOT NULL,
            attempt INTEGER NOT NULL,
            failed_at \(type: .timestamp) NOT NULL,
            description TEXT NOT NULL
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_job_error_job ON apus_job_error (job, failed_at)",
        """
        CREATE TABLE apus_job_worker (
            id \(type: .identifier) PRIMARY KEY,
            beat \(type: .integer) NOT NULL,
            host TEXT NOT NULL,
            process INTEGER NOT NULL,
            started_at \(type: .timestamp) NOT NULL,
            seen_at \(type: .timestamp) NOT NULL
        )\(SQL.strict)
        """,
        """
        CREATE TABLE apus_job_queue (
            name TEXT PRIMARY KEY,
            paused_at \(type: .timestamp)
        )\(SQL.strict)
        """,
        """
        INSERT INTO apus_job (
            id, kind, version, payload, queue, priority, state, run_at, attempt, max_attempts, unique_key, unique_states,
            created_at, finished_at, last_error)
        SELECT \(castID), kind, 1, payload, 'default', 2, CASE state WHEN 'running' THEN 'available' ELSE state END, run_at,
            attempt, max_attempts, unique_key, CASE WHEN unique_key IS NULL THEN 0 ELSE 7 END, created_at, finished_at,
            last_error
        FROM apus_jobs WHERE state <> 'completed'
        """,
        "DROP TABLE apus_jobs",
    ]
    public static let undo: [SQL] =
        [
            "DROP TABLE apus_job", "DROP TABLE apus_job_error", "DROP TABLE apus_job_worker",
            "DROP TABLE apus_job_queue",
        ] + CreateJobs.statements

    /// Whether the state of a job is one of those in which it forbids others with its key.
    static let isUnique: SQL = """
        unique_key IS NOT NULL AND (unique_states & CASE state WHEN 'waiting' THEN 1 WHEN 'available' THEN 2
        WHEN 'running' THEN 4 WHEN 'completed' THEN 8 WHEN 'cancelled' THEN 16 ELSE 32 END) <> 0
        """
    private static let castID: SQL = "CAST(id AS \(type: .identifier))"
}

/// The groups of jobs, and what limits of queues and groups need. Apps with a database apply it automatically.
public enum CreateJobGroups: Migration {
    public static let id = "apus-0005-job-groups"
    public static let statements: [SQL] = [
        "ALTER TABLE apus_job ADD COLUMN group_key TEXT",
        "DROP INDEX apus_job_available",
        """
        CREATE INDEX apus_job_available ON apus_job (queue, priority, run_at, id)
        WHERE state = 'available' AND group_key IS NULL
        """,
        """
        CREATE INDEX apus_job_available_group ON apus_job (queue, group_key, priority, run_at, id)
        WHERE state = 'available' AND group_key IS NOT NULL
        """,
        """
        CREATE INDEX apus_job_available_group_time ON apus_job (queue, run_at)
        WHERE state = 'available' AND group_key IS NOT NULL
        """,
        "DROP INDEX apus_job_running",
        "CREATE INDEX apus_job_running ON apus_job (queue, group_key, worker) WHERE state = 'running'",
        "ALTER TABLE apus_job_queue ADD COLUMN last_group TEXT",
        "ALTER TABLE apus_job_queue ADD COLUMN due \(type: .integer) NOT NULL DEFAULT 0",
        """
        CREATE TABLE apus_job_group (
            queue TEXT NOT NULL,
            name TEXT NOT NULL,
            due \(type: .integer) NOT NULL,
            PRIMARY KEY (queue, name)
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_job_group_due ON apus_job_group (queue, due)",
    ]
    public static let undo: [SQL] = [
        "DROP TABLE apus_job_group",
        "ALTER TABLE apus_job_queue DROP COLUMN due",
        "ALTER TABLE apus_job_queue DROP COLUMN last_group",
        "DROP INDEX apus_job_running",
        "CREATE INDEX apus_job_running ON apus_job (worker) WHERE state = 'running'",
        "DROP INDEX apus_job_available_group_time",
        "DROP INDEX apus_job_available_group",
        "DROP INDEX apus_job_available",
        "CREATE INDEX apus_job_available ON apus_job (queue, priority, run_at, id) WHERE state = 'available'",
        "ALTER TABLE apus_job DROP COLUMN group_key",
    ]
}

/// The schedules, and which process enqueues their jobs. Apps with a database apply it automatically.
public enum CreateJobSchedules: Migration {
    public static let id = "apus-0006-job-schedules"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_job_schedule (
            name TEXT PRIMARY KEY,
            cron TEXT NOT NULL,
            next_at \(type: .timestamp),
            last_at \(type: .timestamp)
        )\(SQL.strict)
        """,
        """
        CREATE TABLE apus_job_leader (
            role TEXT PRIMARY KEY,
            worker \(type: .identifier) NOT NULL,
            term \(type: .integer) NOT NULL,
            elected_at \(type: .timestamp) NOT NULL
        )\(SQL.strict)
        """,
    ]
    public static let undo: [SQL] = ["DROP TABLE apus_job_leader", "DROP TABLE apus_job_schedule"]
}

/// Which jobs wait for which, and the results of steps. Apps with a database apply it automatically.
public enum CreateJobWorkflows: Migration {
    public static let id = "apus-0007-job-workflows"
    public static let statements: [SQL] = [
        "ALTER TABLE apus_job ADD COLUMN waits_for INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX apus_job_waiting ON apus_job (id) WHERE state = 'waiting'",
        """
        CREATE TABLE apus_job_dependency (
            needs \(type: .identifier) NOT NULL,
            job \(type: .identifier) NOT NULL,
            PRIMARY KEY (needs, job)
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_job_dependency_job ON apus_job_dependency (job)",
        """
        CREATE TABLE apus_job_step (
            job \(type: .identifier) NOT NULL,
            name TEXT NOT NULL,
            result TEXT NOT NULL,
            PRIMARY KEY (job, name)
        )\(SQL.strict)
        """,
    ]
    public static let undo: [SQL] = [
        "DROP TABLE apus_job_step", "DROP TABLE apus_job_dependency", "DROP INDEX apus_job_waiting",
        "ALTER TABLE apus_job DROP COLUMN waits_for",
    ]
}

/// The trace contexts in which jobs were enqueued. Apps with a database apply it automatically.
public enum AddJobTraces: Migration {
    public static let id = "apus-0008-job-traces"
    public static let statements: [SQL] = ["ALTER TABLE apus_job ADD COLUMN trace TEXT"]
    public static let undo: [SQL] = ["ALTER TABLE apus_job DROP COLUMN trace"]
}
