import ApusCore
import ApusData
import ApusJobs
import FoundationEssentials
import Logging
import ServiceLifecycle
import UnixSignals

/// A job whose effect is a row, inserted in the transaction that completes it.
struct Effect: Job {
    static let name = "effect"
    let number: Int
}

struct EffectWorker: Worker {
    let database: any Database

    func perform(_ job: Effect, _ context: JobContext) async throws {
        try await context.complete {
            _ = try await database.execute("INSERT INTO effects (job) VALUES (\(context.id))")
        }
    }
}

/// The table of effects. Nothing in it is unique, so that a job that took effect twice would be seen.
enum CreateEffects: Migration {
    static let id = "bench-effects"
    static let statements: [SQL] = ["CREATE TABLE effects (job TEXT NOT NULL)\(SQL.strict)"]
}

/// A clock whose wall time is set back and forth each second.
struct SteppingClock: WallClock {
    let step: Duration
    private let clock = SystemClock()

    var now: Date {
        let isEven = Int(clock.uptime.seconds).isMultiple(of: 2)
        return clock.now.addingTimeInterval(isEven ? step.seconds : -step.seconds)
    }
    var uptime: Duration { clock.uptime }

    func sleep(for duration: Duration) async throws { try await clock.sleep(for: duration) }
}

/// What tests from outside do: enqueue, work while processes are killed, and count.
enum Effects {
    static func enqueue(_ count: Int, on database: any Database) async throws {
        let queue = JobQueue(database)
        for start in stride(from: 0, to: count, by: 10_000) {
            let numbers = start..<min(start + 10_000, count)
            try await queue.enqueue(contentsOf: numbers.map(Effect.init(number:)))
        }
        print("enqueued \(count)")
    }

    /// - Parameter clock: The clock of this process.
    static func work(on database: any Database, lease: Duration?, clock: any WallClock) async throws {
        let logger = Logger(label: "bench-jobs")
        var configuration = JobRunner.Configuration()
        if let lease { configuration.leaseDuration = lease }
        let runner = JobRunner(
            JobQueue(database, clock: clock), workers: [EffectWorker(database: database)],
            configuration: configuration, logger: logger)
        let group = ServiceGroup(
            services: [runner], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }

    static func count(on database: any Database) async throws {
        let effects = try await database.query("SELECT count(*), count(DISTINCT job) FROM effects")
        let (all, distinct): (Int, Int) = (try effects[0].get(0), try effects[0].get(1))
        print("effects \(all)")
        print("distinct effects \(distinct)")
        for row in try await database.query("SELECT state, count(*) FROM apus_job GROUP BY state ORDER BY state") {
            print("\(try row.get(0) as String) \(try row.get(1) as Int)")
        }
    }
}
