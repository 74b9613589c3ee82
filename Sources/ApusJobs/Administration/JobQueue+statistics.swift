public import ApusCore
import ApusData
public import FoundationEssentials

extension JobQueue {
    /// The number up to which jobs are counted, so that statistics stay fast.
    public static let maximumCount = 100_000

    /// Returns what waits and runs in each queue, by name: in those that processes run, and in those that have jobs.
    public func statistics() async throws -> [QueueStatistics] {
        var paused: [ExactString: Bool] = [:]
        for row in try await database.batch([
            Self.knownQueues, Self.usedQueues("IS NULL"), Self.usedQueues("IS NOT NULL"),
        ])
        .joined() {
            guard let name: String = try row.get(0) else { continue }
            paused[ExactString(name)] = try paused[ExactString(name)] ?? (row.get(1) as Int == 1)
        }
        let names = paused.keys.sorted { $0.text < $1.text }
        let statements = names.map { name -> [SQL] in
            [
                count("state = 'available' AND group_key IS NULL AND queue = \(name.text)"),
                count("state = 'available' AND group_key IS NOT NULL AND queue = \(name.text)"),
                count("state = 'running' AND queue = \(name.text)"),
                store.firstTimes(name.text),
            ]
        }
        var values = try await database.batch(Array(statements.joined()))[...]
        return try names.map { name in
            let rows = values.prefix(4).map { $0[0] }
            values.removeFirst(4)
            let counts = try rows.prefix(3).map { try $0.get(0) as Int }
            let age = try (rows[3].get(0) as Date?).map { clock.now.timeIntervalSince($0) }
            return QueueStatistics(
                queue: name.text, isPaused: paused[name] == true,
                available: min(Self.maximumCount, counts[0] + counts[1]), running: counts[2],
                latency: age.flatMap { $0 > 0 ? .seconds($0) : nil })
        }
    }

    /// Returns how many jobs are in each state, up to ``maximumCount``.
    public func counts() async throws -> [JobState: Int] {
        let states = JobState.allCases
        let rows = try await database.batch(
            states.flatMap { state -> [SQL] in
                let name = SQL(stringLiteral: "state = '\(state.rawValue)'")
                return switch state {
                case .available: [count("\(name) AND group_key IS NULL"), count("\(name) AND group_key IS NOT NULL")]
                case .waiting, .running: [count(name), "SELECT 0"]
                case .completed, .cancelled, .discarded: [count("\(name) AND finished_at IS NOT NULL"), "SELECT 0"]
                }
            })
        var result: [JobState: Int] = [:]
        for (index, state) in states.enumerated() {
            let count: Int = try rows[index * 2][0].get(0)
            result[state] = min(Self.maximumCount, count + (try rows[index * 2 + 1][0].get(0)))
        }
        return result
    }

    /// Returns the stored schedules, by name.
    public func schedules() async throws -> [ScheduleRecord] {
        try await database.query("SELECT name, cron, next_at, last_at FROM apus_job_schedule ORDER BY name").map {
            ScheduleRecord(name: try $0.get(0), cron: try $0.get(1), nextAt: try $0.get(2), lastAt: try $0.get(3))
        }
    }

    /// Returns the processes that perform jobs.
    public func processes() async throws -> [WorkerProcess] {
        try await database.query(
            """
            SELECT id, host, process, started_at, seen_at,
                (SELECT count(*) FROM apus_job_leader WHERE worker = apus_job_worker.id)
            FROM apus_job_worker ORDER BY started_at
            """
        ).map {
            WorkerProcess(
                id: try $0.get(0), host: try $0.get(1), processID: try $0.get(2), startedAt: try $0.get(3),
                seenAt: try $0.get(4), isLeader: try $0.get(5) as Int > 0)
        }
    }

    private func count(_ condition: SQL) -> SQL {
        "SELECT count(*) FROM (SELECT 1 FROM apus_job WHERE \(condition) LIMIT \(Self.maximumCount)) AS counted"
    }

    private static let knownQueues: SQL = """
        SELECT name, CASE WHEN paused_at IS NULL THEN 0 ELSE 1 END FROM apus_job_queue
        UNION SELECT queue, 0 FROM apus_job WHERE state = 'running'
        """

    /// The queues with available jobs. It jumps from one to the next in the index.
    private static func usedQueues(_ group: SQL) -> SQL {
        let next: SQL = "SELECT min(queue) FROM apus_job WHERE state = 'available' AND group_key \(group)"
        return """
            WITH RECURSIVE used (name) AS (
                SELECT (\(next)) UNION ALL SELECT (\(next) AND queue > used.name) FROM used WHERE name IS NOT NULL
            )
            SELECT name, 0 FROM used WHERE name IS NOT NULL
            """
    }
}

/// What waits and runs in a queue.
public struct QueueStatistics: Sendable, Hashable {
    public let queue: String
    public let isPaused: Bool
    /// The number of jobs that wait for their time or for a worker, up to ``JobQueue/maximumCount``.
    public let available: Int
    /// The number of jobs that run, or are claimed by a process.
    public let running: Int
    /// For how long the oldest job that is due has waited; `nil` if none is due.
    public let latency: Duration?
}

/// A stored schedule.
public struct ScheduleRecord: Sendable, Hashable {
    public let name: String
    /// The times, with the time zone.
    public let cron: String
    /// The next time; `nil` if there is none.
    public let nextAt: Date?
    /// When a job was enqueued last.
    public let lastAt: Date?
}

/// A process that performs jobs.
public struct WorkerProcess: Identifiable, Sendable, Hashable {
    /// The id of its session, which ends when it stops or loses its lease.
    public let id: Identifier<WorkerProcess>
    public let host: String
    public let processID: Int
    public let startedAt: Date
    /// When its lease was renewed last.
    public let seenAt: Date
    /// Whether it enqueues the jobs of schedules.
    public let isLeader: Bool
}
