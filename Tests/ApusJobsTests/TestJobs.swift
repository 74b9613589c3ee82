import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Logging
import Synchronization
import Testing

@testable import ApusJobs

struct Greet: Job {
    static let name = "greet"
    static let maxAttempts = 3
    let name: String
}

/// Runs the closure of a test and records the names it received.
final class Greeter: Worker {
    let seen = Mutex<[String]>([])
    let body: @Sendable (Greet, JobContext) async throws -> Void

    init(_ body: @escaping @Sendable (Greet, JobContext) async throws -> Void = { _, _ in }) { self.body = body }

    var names: [String] { seen.withLock { $0 } }

    func perform(_ job: Greet, _ context: JobContext) async throws {
        seen.withLock { $0.append(job.name) }
        try await body(job, context)
    }
}

/// A process that claims jobs, and does not perform them.
struct StubProcess {
    let store: JobStore
    let lease: WorkerLease

    init(_ queue: JobQueue, lease: Duration = .seconds(30)) async throws {
        store = queue.store
        self.lease = WorkerLease(store, duration: lease)
        _ = try await self.lease.beat()
    }

    func claim(_ limit: Int) async throws -> [JobRecord] {
        let worker = try #require(lease.current)
        let claim = Claim(queue: "default", kinds: ["greet 1"], worker: worker, positions: Claim.start)
        return try await store.claim(claim, limit: limit)
    }
}

/// What the suites of jobs share: a clock that tests move, and queues on every engine.
struct JobLab: Sendable {
    let clock = ManualClock()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    func withQueue(
        on database: TestDatabase, clock: (any WallClock)? = nil,
        _ body: (JobQueue, any Database) async throws -> Void
    ) async throws {
        let migrations = JobQueue.migrations
        try await database.run(SQLiteEngine(), PostgresEngine(), migrations: migrations) { database in
            try await body(JobQueue(database, clock: clock ?? self.clock), database)
        }
    }

    func runner(
        _ queue: JobQueue, _ workers: any Worker..., configure: (inout JobRunner.Configuration) -> Void = { _ in }
    ) -> JobRunner {
        var configuration = JobRunner.Configuration()
        configure(&configuration)
        return JobRunner(queue, workers: workers, configuration: configuration, logger: logger)
    }
}
