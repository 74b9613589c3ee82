import ApusCore
import ApusHTTP
import ApusJobs
import FoundationEssentials

/// What the dashboard shows of all queues.
struct JobOverview: Codable, Sendable, ResponseConvertible {
    struct Queue: Codable, Sendable, Equatable {
        let name: String
        let isPaused: Bool
        let available: Int
        let running: Int
        let latencyMilliseconds: Int?
    }

    struct Schedule: Codable, Sendable, Equatable {
        let name: String
        let cron: String
        let nextAt: Date?
        let lastAt: Date?
    }

    struct Process: Codable, Sendable, Equatable {
        let id: Identifier<WorkerProcess>
        let host: String
        let processID: Int
        let startedAt: Date
        let seenAt: Date
        let isLeader: Bool
    }

    let time: Date
    /// The number up to which jobs are counted.
    let maximumCount: Int
    let queues: [Queue]
    let states: [String: Int]
    let schedules: [Schedule]
    let processes: [Process]

    init(of queue: JobQueue) async throws {
        time = queue.clock.now
        maximumCount = JobQueue.maximumCount
        queues = try await queue.statistics().map {
            Queue(
                name: $0.queue, isPaused: $0.isPaused, available: $0.available, running: $0.running,
                latencyMilliseconds: $0.latency.map { Int($0.seconds * 1000) })
        }
        states = Dictionary(uniqueKeysWithValues: try await queue.counts().map { ($0.key.rawValue, $0.value) })
        schedules = try await queue.schedules().map {
            Schedule(name: $0.name, cron: $0.cron, nextAt: $0.nextAt, lastAt: $0.lastAt)
        }
        processes = try await queue.processes().map {
            Process(
                id: $0.id, host: $0.host, processID: $0.processID, startedAt: $0.startedAt, seenAt: $0.seenAt,
                isLeader: $0.isLeader)
        }
    }

    /// Whether something has changed, apart from the time.
    func differs(from other: JobOverview?) -> Bool {
        guard let other else { return true }
        return queues != other.queues || states != other.states || schedules != other.schedules
            || processes != other.processes
    }
}
