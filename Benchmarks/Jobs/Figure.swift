import ApusCore
import ApusData
import ApusJobs
import FoundationEssentials
import Logging
import Synchronization

/// A figure that can be measured.
struct Figure: Sendable {
    let name: String
    let unit: String
    /// Measures it on a database. Returns the values and their names.
    let measure: @Sendable (any Database) async throws -> [(String, Double)]

    static let all = [burnDown, bulkInsert, steady, latency, pinned, finished]

    /// The jobs that a process performs in a second, of 200,000 that were enqueued before.
    private static let burnDown = Figure(name: "burn-down", unit: "jobs/s") { database in
        [("jobs-burn-down", try await speed(database))]
    }

    /// By how much the speed of a burn-down falls if an old transaction keeps Postgres from removing what is outdated.
    private static let pinned = Figure(name: "pinned", unit: "%") { database in
        let free = try await speed(database)
        let pinned = try await speed(database, isPinned: true)
        return [("jobs-pinned-loss", (1 - pinned / free) * 100)]
    }

    /// By how much the speed of a burn-down falls if there are ten million jobs that are done.
    private static let finished = Figure(name: "finished", unit: "%") { database in
        let free = try await speed(database)
        try await clear(database)
        try await addFinished(10_000_000, database)
        let burdened = try await speed(database, clears: false)
        try await clear(database)
        return [("jobs-finished-loss", (1 - burdened / free) * 100)]
    }

    private static func addFinished(_ count: Int, _ database: any Database) async throws {
        let (series, id): (SQL, SQL) =
            switch database.dialect {
            case .postgres:
                ("SELECT generate_series(1, \(count)) AS number", "lpad(to_hex(number), 32, '0')::uuid")
            case .sqlite:
                (
                    """
                    WITH RECURSIVE series (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM series WHERE number < \(count))
                    SELECT number FROM series
                    """, "printf('00000000-0000-0000-0000-%012x', number)"
                )
            }
        let now = Date()
        try await database.execute(
            """
            INSERT INTO apus_job (
                id, kind, version, payload, queue, priority, state, run_at, attempt, max_attempts, created_at, finished_at)
            SELECT \(id), 'no-operation', 1, '{"number":1}', 'default', 2, 'completed', \(now), 1, 20, \(now), \(now)
            FROM (\(series)) AS numbers
            """)
        if database.dialect == .postgres { try await database.execute("VACUUM ANALYZE apus_job") }
    }

    private static func speed(
        _ database: any Database, isPinned: Bool = false, clears: Bool = true
    ) async throws -> Double {
        if clears { try await clear(database) }
        let queue = JobQueue(database)
        let count = 200_000
        for _ in 0..<(count / 10_000) {
            try await queue.enqueue(contentsOf: (0..<10_000).map(NoOperation.init(number:)))
        }
        let worker = CountingWorker(target: count)
        let (isOpen, isDone) = (OneGate(), OneGate())
        let transaction = Task {
            guard isPinned else { return isOpen.open() }
            try await database.transaction(.snapshot) {
                _ = try await database.query("SELECT id FROM apus_job LIMIT 1")
                isOpen.open()
                try await isDone.wait()
            }
        }
        try await isOpen.wait()
        let start = ContinuousClock.now
        try await running(queue, worker) { try await worker.finished.wait() }
        let speed = Double(count) / (start.duration(to: .now) / .seconds(1))
        isDone.open()
        try await transaction.value
        return speed
    }

    /// The jobs that are enqueued in a second, 10,000 in a transaction.
    private static let bulkInsert = Figure(name: "bulk-insert", unit: "jobs/s") { database in
        try await clear(database)
        let queue = JobQueue(database)
        let start = ContinuousClock.now
        for _ in 0..<20 { try await queue.enqueue(contentsOf: (0..<10_000).map(NoOperation.init(number:))) }
        return [("jobs-bulk-insert", 200_000 / (start.duration(to: .now) / .seconds(1)))]
    }

    /// The jobs that are enqueued by 64 tasks, each in a transaction of its own, and performed in a second.
    private static let steady = Figure(name: "steady", unit: "jobs/s") { database in
        try await clear(database)
        let queue = JobQueue(database)
        let (tasks, each) = (64, 800)
        let worker = CountingWorker(target: tasks * each)
        let start = ContinuousClock.now
        try await running(queue, worker) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<tasks {
                    group.addTask { for number in 0..<each { try await queue.enqueue(NoOperation(number: number)) } }
                }
                try await group.waitForAll()
            }
            try await worker.finished.wait()
        }
        return [("jobs-steady", Double(tasks * each) / (start.duration(to: .now) / .seconds(1)))]
    }

    /// The time from the call that enqueues a job to its start, while nothing else happens.
    private static let latency = Figure(name: "latency", unit: "ms") { database in
        try await clear(database)
        let queue = JobQueue(database)
        let worker = TimingWorker()
        try await running(queue, worker) {
            for _ in 0..<1000 {
                let start = ContinuousClock.now
                worker.expect()
                try await queue.enqueue(NoOperation(number: 0))
                let end = await worker.started()
                worker.record(start.duration(to: end))
                try await Task.sleep(for: .milliseconds(3))
            }
        }
        let sorted = worker.durations.sorted()
        return [
            ("jobs-latency-p50", sorted[500] / .milliseconds(1)), ("jobs-latency-p99", sorted[990] / .milliseconds(1)),
        ]
    }

    private static func clear(_ database: any Database) async throws {
        for table in ["apus_job", "apus_job_error", "apus_job_worker", "apus_job_dependency"] {
            try await database.execute(
                database.dialect == .postgres ? "TRUNCATE \(identifier: table)" : "DELETE FROM \(identifier: table)")
        }
    }

    /// Runs a closure while a process works on jobs.
    private static func running(
        _ queue: JobQueue, _ worker: any Worker, _ body: () async throws -> Void
    ) async throws {
        let runner = JobRunner(
            queue, workers: [worker], logger: Logger(label: "bench-jobs") { _ in SwiftLogNoOpLogHandler() })
        let task = Task { try await runner.run() }
        do {
            try await body()
        } catch {
            task.cancel()
            throw error
        }
        task.cancel()
        try await task.value
    }
}

/// A job that does nothing.
struct NoOperation: Job {
    static let name = "no-operation"
    let number: Int
}

/// Opens a gate when it has performed a number of jobs.
private final class CountingWorker: Worker {
    let finished = OneGate()
    private let left: Atomic<Int>

    init(target: Int) { left = Atomic(target) }

    func perform(_ job: NoOperation, _ context: JobContext) async throws {
        if left.subtract(1, ordering: .relaxed).newValue == 0 { finished.open() }
    }
}

/// Tells when a job has started.
private final class TimingWorker: Worker {
    private let gate = Mutex(OneGate())
    private let start = Mutex(ContinuousClock.now)
    private let all = Mutex<[Duration]>([])

    func perform(_ job: NoOperation, _ context: JobContext) async throws {
        start.withLock { $0 = .now }
        gate.withLock { $0 }.open()
    }

    func expect() { gate.withLock { $0 = OneGate() } }

    func started() async -> ContinuousClock.Instant {
        try? await gate.withLock { $0 }.wait()
        return start.withLock { $0 }
    }

    func record(_ duration: Duration) { all.withLock { $0.append(duration) } }
    var durations: [Duration] { all.withLock { $0 } }
}

/// Opens once, for one task that waits.
private final class OneGate: Sendable {
    private let stream = AsyncStream<Void>.makeStream()
    func open() { stream.continuation.finish() }
    func wait() async throws {
        for await _ in stream.stream {}
        try Task.checkCancellation()
    }
}
