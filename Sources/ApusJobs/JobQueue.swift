public import ApusCore
public import ApusData
import FoundationEssentials
public import Metrics
public import Tracing

/// A durable queue of jobs, stored in the database.
///
/// Inside a `UnitOfWork`, a job is enqueued only if the unit of work is committed.
public final class JobQueue: Sendable {
    package let database: any Database
    package let clock: any WallClock
    package let signal: JobSignal
    let store: JobStore
    let metrics: JobMetrics.Source
    let tracing: JobTracing

    /// The migrations of the tables of the queue, in order. Apps with a database apply them automatically.
    public static let migrations: [any Migration.Type] = [
        CreateJobs.self, CreateJobQueues.self, CreateJobGroups.self, CreateJobSchedules.self, CreateJobWorkflows.self,
        AddJobTraces.self,
    ]

    /// Creates a queue.
    /// - Parameters:
    ///   - pubSub: Wakes the workers of other processes when jobs are enqueued. By default the database's own.
    ///   - metrics: Where jobs are counted and measured. By default the process-wide factory.
    ///   - tracer: Traces jobs. By default the process-wide one.
    public init(
        _ database: any Database, clock: any WallClock = SystemClock(), pubSub: (any PubSub)? = nil,
        metrics: (any MetricsFactory)? = nil, tracer: (any Tracer)? = nil
    ) {
        self.database = database
        self.clock = clock
        signal = JobSignal(pubSub ?? database.pubSub)
        store = JobStore(database: database, clock: clock)
        self.metrics = JobMetrics.Source(metrics)
        tracing = JobTracing(own: tracer)
    }

    /// Enqueues a job.
    /// - Returns: The new job, or the one that forbids it, see ``Job/uniqueness``.
    /// - Throws: An `AppError` of code `invalidArgument` if the job cannot be stored: it has no valid options, or its JSON
    ///   contains U+0000 on Postgres.
    @discardableResult
    public func enqueue<Work: Job>(_ job: Work, _ options: JobOptions = JobOptions()) async throws -> EnqueuedJob {
        try await tracing.enqueuing(Work.name, in: options.queue ?? Work.queue) { trace in
            guard options.after.isEmpty else { return try await enqueueWaiting(job, options, trace) }
            return try await insert(try NewJob(job, options, now: clock.now, trace: trace))
        }
    }

    func insert(_ new: NewJob) async throws -> EnqueuedJob {
        guard new.uniqueKey != nil else {
            try await database.execute(NewJob.insertion([new]))
            enqueued(new)
            return EnqueuedJob(id: new.id, isNew: true)
        }
        // The job that forbids it may be done before it is found.
        while true {
            let inserted = try await database.query(NewJob.insertion([new])).isEmpty == false
            if inserted {
                enqueued(new)
                return EnqueuedJob(id: new.id, isNew: true)
            }
            let other = try await database.query(
                """
                SELECT id FROM apus_job
                WHERE kind = \(new.kind) AND unique_key = \(new.uniqueKey.sqlValue) AND \(CreateJobQueues.isUnique)
                """)
            if let id: JobRecord.ID = try other.first?.get(0) { return EnqueuedJob(id: id, isNew: false) }
        }
    }

    /// Enqueues many jobs of one kind, with few statements and in one transaction.
    /// - Returns: How many were enqueued: those of the others are forbidden by jobs with their keys.
    /// - Throws: As ``enqueue(_:_:)``; no job is enqueued then.
    @discardableResult
    public func enqueue<Work: Job>(
        contentsOf jobs: [Work], _ options: JobOptions = JobOptions()
    ) async throws -> Int {
        try await tracing.enqueuing(Work.name, in: options.queue ?? Work.queue, count: jobs.count) { trace in
            guard options.after.isEmpty else { return try await enqueueWaiting(contentsOf: jobs, options, trace) }
            let now = clock.now
            return try await insert(try jobs.map { try NewJob($0, options, now: now, trace: trace) })
        }
    }

    private func insert(_ new: [NewJob]) async throws -> Int {
        guard let first = new.first else { return 0 }
        let rows = new.map(\.values)
        let count =
            first.uniqueKey == nil
            ? try await database.load(into: "apus_job", columns: NewJob.columns, rows: rows)
            : try await database.insert(into: "apus_job", columns: NewJob.columns, rows: rows, onConflict: .isIgnored)
        enqueued(first, count: count)
        return count
    }

    private func enqueued(_ job: NewJob, count: Int = 1) {
        let isDue = job.waitsFor == 0 && job.runAt <= clock.now
        let metrics = metrics.current
        guard count > 0, isDue || metrics != nil else { return }
        UnitOfWork.afterCommit(of: database) { [signal] in
            metrics?.enqueued(job.kind, in: job.queue, count)
            if isDue { signal.enqueued(in: job.queue) }
        }
    }
}

/// The result of ``JobQueue/enqueue(_:_:)``.
public struct EnqueuedJob: Sendable, Hashable {
    /// The id of the new job, or of the one that forbids it.
    public let id: JobRecord.ID
    /// Whether the job was enqueued.
    public let isNew: Bool
}

/// A job that is about to be stored.
struct NewJob: Sendable {
    let id = JobRecord.ID()
    let kind: String
    let queue: String
    let runAt: Date
    let uniqueKey: String?
    /// The number of jobs that must be completed first.
    let waitsFor: Int
    let values: [any SQLValueConvertible]

    static let columns = [
        "id", "kind", "version", "payload", "queue", "priority", "state", "run_at", "max_attempts", "timeout", "tags",
        "unique_key", "unique_states", "group_key", "waits_for", "created_at",
        "trace",
    ]

    init<Work: Job>(_ job: Work, _ options: JobOptions, waitsFor: Int = 0, now: Date, trace: String?) throws {
        self.waitsFor = waitsFor
        kind = Work.name
        queue = options.queue ?? Work.queue
        runAt = (options.time ?? now).addingTimeInterval(options.delay.seconds)
        try Self.validate(queue: queue)
        let maxAttempts = options.maxAttempts ?? Work.maxAttempts
        guard maxAttempts >= 1 else {
            throw AppError(.invalidArgument, "A job has at least 1 attempt, not \(maxAttempts).")
        }
        if let tag = options.tags.first(where: { $0.isEmpty || $0.utf8.contains(UInt8(ascii: "\n")) }) {
            throw AppError(.invalidArgument, "The tag \"\(tag)\" is empty or has a line break.")
        }
        let uniqueness = options.uniqueKey.map { key in Uniqueness<Work>.byKey { _ in key } } ?? Work.uniqueness
        uniqueKey = try uniqueness?.storedKey(of: job, at: runAt)
        values = [
            id, kind, Work.version, try JSONText.text(of: job), queue, (options.priority ?? Work.priority).rawValue,
            waitsFor == 0 ? JobState.available : .waiting, runAt, maxAttempts,
            options.timeout.map { Int($0.microseconds) }.sqlValue,
            (options.tags.isEmpty ? nil : options.tags.joined(separator: "\n")).sqlValue, uniqueKey.sqlValue,
            uniqueKey == nil ? 0 : uniqueness?.states.mask ?? 0, try Work.group?.key(job).sqlValue ?? .null, waitsFor,
            now, trace.sqlValue,
        ]
    }

    static func validate(queue: String) throws(AppError) {
        guard !queue.isEmpty, !queue.utf8.contains(0) else {
            throw AppError(.invalidArgument, "The name of a queue must not be empty or contain U+0000.")
        }
    }

    /// The statement that stores jobs. It returns the ids of those that are not forbidden by others.
    static func insertion(_ jobs: [NewJob]) -> SQL {
        let rows = jobs.map { job -> SQL in
            "(\(SQL.joined(job.values.map { "\($0.sqlValue)" as SQL }, separator: ", ")))"
        }
        let names = SQL(stringLiteral: columns.joined(separator: ", "))
        return """
            INSERT INTO apus_job (\(names)) VALUES \(SQL.joined(rows, separator: ", ")) ON CONFLICT DO NOTHING RETURNING id
            """
    }
}
