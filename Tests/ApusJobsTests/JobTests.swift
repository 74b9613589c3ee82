import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import ApusJobs

private struct Greet: Job {
    static let name = "greet"
    static let maxAttempts = 3
    let name: String
}

/// Runs the closure of a test and records the names it received.
private final class Greeter: Worker {
    let seen = Mutex<[String]>([])
    let body: @Sendable (Greet, JobContext) async throws -> Void

    init(_ body: @escaping @Sendable (Greet, JobContext) async throws -> Void = { _, _ in }) { self.body = body }

    func perform(_ job: Greet, _ context: JobContext) async throws {
        seen.withLock { $0.append(job.name) }
        try await body(job, context)
    }
}

@Suite(.timeLimit(.minutes(10))) struct JobTests {
    private let clock = ManualClock()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameter connections: The maximum number of transactions at the same time on Postgres.
    private func withQueue(
        on database: TestDatabase, connections: Int = 10, _ body: (JobQueue, any Database) async throws -> Void
    ) async throws {
        let postgres = PostgresEngine { $0.poolSize = connections }
        try await database.run(SQLiteEngine(), postgres, migrations: [CreateJobs.self]) { database in
            try await body(JobQueue(database, clock: clock), database)
        }
    }

    private func runner(_ queue: JobQueue, _ worker: Greeter, lease: Duration = .seconds(30)) -> JobRunner {
        var configuration = JobRunner.Configuration()
        configuration.leaseDuration = lease
        return JobRunner(queue, workers: [worker], configuration: configuration, logger: logger)
    }

    @Test(arguments: TestDatabase.available) func `A job runs once and is then completed`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            let worker = Greeter()
            try await queue.enqueue(Greet(name: "Ada"))
            #expect(try await runner(queue, worker).runAvailable() == 1)
            #expect(try await runner(queue, worker).runAvailable() == 0)
            #expect(worker.seen.withLock { $0 } == ["Ada"])
            #expect(try await queue.list(.completed).map(\.state) == [.completed])
        }
    }

    @Test(arguments: TestDatabase.available) func `A job is enqueued only if its transaction commits`(
        database: TestDatabase
    ) async throws {
        struct Failure: Error {}
        try await withQueue(on: database) { queue, database in
            try? await database.transaction {
                try await queue.enqueue(Greet(name: "never"))
                throw Failure()
            }
            try await database.transaction { try await queue.enqueue(Greet(name: "Ada")) }
            let worker = Greeter()
            _ = try await runner(queue, worker).runAvailable()
            #expect(worker.seen.withLock { $0 } == ["Ada"])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A transient failure is retried with increasing delays, and finally becomes a dead letter`(
        database: TestDatabase
    )
        async throws
    {
        try await withQueue(on: database) { queue, _ in
            let worker = Greeter { _, context in
                throw AppError(.unavailable, "Attempt \(context.attempt) of \(context.maxAttempts) failed.")
            }
            let runner = runner(queue, worker)
            try await queue.enqueue(Greet(name: "Ada"))
            #expect(try await runner.runAvailable() == 1)
            #expect(try await runner.runAvailable() == 0)
            clock.advance(by: .milliseconds(1101))
            #expect(try await runner.runAvailable() == 1)
            clock.advance(by: .seconds(14))
            #expect(try await runner.runAvailable() == 0)
            clock.advance(by: .seconds(4))
            #expect(try await runner.runAvailable() == 1)
            let dead = try #require(try await queue.list(.discarded).first)
            #expect(dead.attempt == 3)
            #expect(dead.lastError?.contains("Attempt 3 of 3 failed.") == true)
            try await queue.retry(dead.id)
            #expect(try await runner.runAvailable() == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `A permanent failure makes the job a dead letter immediately`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            let worker = Greeter { _, _ in throw AppError(.invalidArgument, "The name is empty.") }
            try await queue.enqueue(Greet(name: ""))
            _ = try await runner(queue, worker).runAvailable()
            #expect(try await queue.list(.discarded).map(\.attempt) == [1])
            #expect(await (try? queue.retry(JobRecord.ID())) == nil)
        }
    }

    @Test(arguments: TestDatabase.available) func `A job with undecodable arguments becomes a dead letter`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            try await queue.enqueue(Greet(name: "Ada"))
            try await database.execute("UPDATE apus_jobs SET payload = '{\"nome\":1}'")
            _ = try await runner(queue, Greeter()).runAvailable()
            #expect(try await queue.list(.discarded).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job is released when its lease expires, and the old worker can no longer complete it`(
        database: TestDatabase
    )
        async throws
    {
        try await withQueue(on: database) { queue, database in
            let store = JobStore(database: database, clock: clock)
            try await queue.enqueue(Greet(name: "Ada"))
            let claimed = try #require(try await store.claim(["greet"], limit: 10, lease: .seconds(30)).first)
            let worker = Greeter()
            let runner = runner(queue, worker)
            #expect(try await runner.rescue() == 0)
            clock.advance(by: .seconds(29))
            #expect(try await runner.rescue() == 0)
            #expect(try await runner.runAvailable() == 0)
            clock.advance(by: .seconds(2))
            #expect(try await runner.rescue() == 1)
            let reclaimed = try #require(try await store.claim(["greet"], limit: 10, lease: .seconds(30)).first)
            #expect(reclaimed.fence == claimed.fence + 1)
            #expect(try await store.complete(claimed.id, fence: claimed.fence) == false)
            #expect(try await store.complete(reclaimed.id, fence: reclaimed.fence))
        }
    }

    private func expired(_ store: JobStore) async throws -> [ObservedLeases.Lease] {
        try await store.leases().filter { $0.until < clock.now }
    }

    @Test(arguments: TestDatabase.available)
    func `A renewed lease is not released, even if it has expired by the wall clock`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            let store = JobStore(database: database, clock: clock)
            try await queue.enqueue(Greet(name: "Ada"))
            let claimed = try await store.claim(["greet"], limit: 1, lease: .seconds(30))
            let runner = runner(queue, Greeter())
            #expect(try await runner.rescue() == 0)
            for _ in 0..<10 {
                clock.advance(by: .seconds(10))
                try await store.extendLeases(claimed, by: .seconds(30))
                // As after a step of the wall clock or a suspension of the machine: the lease was just renewed, but is
                // expired. It differs each time.
                let expired = clock.now - 3600
                try await database.execute("UPDATE apus_jobs SET lease_until = \(expired)")
                #expect(try await runner.rescue() == 0)
            }
            clock.advance(by: .seconds(19))
            #expect(try await runner.rescue() == 0)
            clock.advance(by: .seconds(1))
            #expect(try await runner.rescue() == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `A process does not release its own running jobs`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            let rescued = Mutex<[Int]>([])
            let holder = Mutex<JobRunner?>(nil)
            let worker = Greeter { _, _ in
                guard let runner = holder.withLock({ $0 }) else { return }
                for _ in 0..<3 {
                    let count = try await runner.rescue()
                    rescued.withLock { $0.append(count) }
                    clock.advance(by: .seconds(60))
                }
            }
            let runner = runner(queue, worker)
            holder.withLock { $0 = runner }
            try await queue.enqueue(Greet(name: "Ada"))
            _ = try await runner.runAvailable()
            #expect(rescued.withLock { $0 } == [0, 0, 0])
            holder.withLock { $0 = nil }
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A lease begins when the job is claimed, not when the claim starts to wait for the database`(
        database: TestDatabase
    )
        async throws
    {
        try await withQueue(on: database, connections: 1) { queue, database in
            let store = JobStore(database: database, clock: clock)
            try await queue.enqueue(Greet(name: "Ada"))
            let (begun, finish) = (Gate(), Gate())
            async let holding: Void = database.transaction {
                begun.open()
                try await finish.wait()
            }
            try await begun.wait()
            async let claimed = store.claim(["greet"], limit: 1, lease: .seconds(30))
            // Gives the claim time to queue up behind the transaction, which the test cannot observe directly.
            for _ in 0..<100 { await Task.yield() }
            clock.advance(by: .seconds(300))
            finish.open()
            try await holding
            #expect(try await claimed.count == 1)
            #expect(try await store.leases().allSatisfy { $0.until == clock.now + 30 })
        }
    }

    @Test(arguments: TestDatabase.available) func `The leases of thousands of jobs are renewed`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            let store = JobStore(database: database, clock: clock)
            try await database.transaction {
                for number in 0..<2500 { try await queue.enqueue(Greet(name: "\(number)")) }
            }
            let jobs = try await store.claim(["greet"], limit: 2500, lease: .seconds(30))
            clock.advance(by: .seconds(20))
            try await store.extendLeases(jobs, by: .seconds(30))
            clock.advance(by: .seconds(20))
            #expect(try await expired(store).isEmpty)
            clock.advance(by: .seconds(20))
            #expect(try await store.rescue(expired(store)) == 2500)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job becomes a dead letter even if its error text contains characters that cannot be stored`(
        database: TestDatabase
    )
        async throws
    {
        try await withQueue(on: database) { queue, _ in
            let worker = Greeter { _, _ in throw AppError(.invalidArgument, "cut\0\u{301}off") }
            try await queue.enqueue(Greet(name: "Ada"))
            _ = try await runner(queue, worker).runAvailable()
            #expect(try await queue.list(.discarded).first?.lastError?.contains("cut\u{301}off") == true)
        }
    }

    @Test(arguments: TestDatabase.available) func `A job whose worker dies at every attempt becomes a dead letter`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            let store = JobStore(database: database, clock: clock)
            try await queue.enqueue(Greet(name: "Ada"))
            for _ in 0..<3 {
                #expect(try await store.claim(["greet"], limit: 1, lease: .seconds(1)).count == 1)
                clock.advance(by: .seconds(2))
                #expect(try await store.rescue(store.leases()) == 1)
            }
            #expect(try await queue.list(.discarded).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job completed in the transaction of its effects is committed with them or not at all`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            try await database.execute("CREATE TABLE effects (name TEXT)")
            let store = JobStore(database: database, clock: clock)
            let worker = Greeter { job, context in
                if job.name == "late" {
                    // Another worker takes over the job while this one is running it.
                    clock.advance(by: .seconds(60))
                    _ = try await store.rescue(store.leases())
                    _ = try await store.claim(["greet"], limit: 1, lease: .seconds(30))
                }
                try await database.transaction {
                    try await database.execute("INSERT INTO effects VALUES (\(job.name))")
                    try await context.complete()
                }
            }
            try await queue.enqueue(Greet(name: "Ada"))
            _ = try await runner(queue, worker).runAvailable()
            try await queue.enqueue(Greet(name: "late"))
            _ = try await runner(queue, worker).runAvailable()
            #expect(try await database.query("SELECT name FROM effects").map { try $0.get(0) as String } == ["Ada"])
            #expect(try await queue.list(.completed).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A second job with the same unique key is not enqueued while the first one waits`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            #expect(try await queue.enqueue(Greet(name: "a"), uniqueKey: "k") != nil)
            #expect(try await queue.enqueue(Greet(name: "b"), uniqueKey: "k") == nil)
            _ = try await runner(queue, Greeter()).runAvailable()
            #expect(try await queue.enqueue(Greet(name: "c"), uniqueKey: "k") != nil)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A dead letter is not retried while another job with its unique key waits`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            let worker = Greeter { _, _ in throw AppError(.invalidArgument, "The name is empty.") }
            try await queue.enqueue(Greet(name: ""), uniqueKey: "k")
            _ = try await runner(queue, worker).runAvailable()
            let dead = try #require(try await queue.list(.discarded).first)
            try await queue.enqueue(Greet(name: "b"), uniqueKey: "k")
            let error = await #expect(throws: AppError.self) { try await queue.retry(dead.id) }
            #expect(error?.code == .alreadyExists)
            #expect(try await queue.list(.discarded).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `A delayed job does not run before its time`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            try await queue.enqueue(Greet(name: "a"), after: .seconds(60))
            let runner = runner(queue, Greeter())
            #expect(try await runner.runAvailable() == 0)
            clock.advance(by: .seconds(60))
            #expect(try await runner.runAvailable() == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `Two runners share the jobs without running any twice`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            for number in 0..<200 { try await queue.enqueue(Greet(name: "\(number)")) }
            let workers = [Greeter(), Greeter()]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in workers {
                    group.addTask { _ = try await runner(JobQueue(database, clock: clock), worker).runAvailable() }
                }
                try await group.waitForAll()
            }
            let seen = workers.flatMap { $0.seen.withLock { $0 } }
            #expect(seen.count == 200)
            #expect(Set(seen).count == 200)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Many workers claim, renew and complete jobs without waiting or conflicts`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            let store = JobStore(database: database, clock: clock)
            try await database.transaction {
                for number in 0..<400 { try await queue.enqueue(Greet(name: "\(number)")) }
            }
            let claimed = try await withThrowingTaskGroup(of: [JobRecord.ID].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        var all: [JobRecord] = []
                        while true {
                            let jobs = try await store.claim(["greet"], limit: 7, lease: .seconds(30))
                            guard !jobs.isEmpty else { return all.map(\.id) }
                            #expect(jobs.count <= 7)
                            all += jobs
                            try await store.extendLeases(all.shuffled(), by: .seconds(30))
                            _ = try await store.complete(jobs[0].id, fence: jobs[0].fence)
                            try await store.deleteFinished(completed: .seconds(3600), discarded: .seconds(3600))
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.count == 400)
            #expect(Set(claimed).count == 400)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job that is being completed in an open transaction does not delay the renewal of others`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            // On SQLite, one transaction excludes all others, which wait for their turn.
            guard database.dialect == .postgres else { return }
            let store = JobStore(database: database, clock: clock)
            for name in ["a", "b"] { try await queue.enqueue(Greet(name: name)) }
            let jobs = try await store.claim(["greet"], limit: 2, lease: .seconds(30))
            try await database.transaction {
                #expect(try await store.complete(jobs[0].id, fence: jobs[0].fence))
                clock.advance(by: .seconds(10))
                try await Task.detached { try await store.extendLeases(jobs, by: .seconds(30)) }.value
                let leases = try await Task.detached { try await store.leases() }.value
                #expect(leases.first { $0.id == jobs[1].id }?.until == clock.now + 30)
            }
            #expect(try await queue.list(.completed).map(\.id) == [jobs[0].id])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `At shutdown, a job past the time limit is cancelled and requeued without counting the attempt`(
        database: TestDatabase
    )
        async throws
    {
        try await withQueue(on: database) { _, database in
            let queue = JobQueue(database)
            let started = Gate()
            let worker = Greeter { _, _ in
                started.open()
                try await Task.sleep(for: .seconds(3600))
            }
            var configuration = JobRunner.Configuration()
            configuration.shutdownTimeout = .milliseconds(10)
            let runner = JobRunner(queue, workers: [worker], configuration: configuration, logger: logger)
            let group = ServiceGroup(services: [runner], logger: logger)
            try await queue.enqueue(Greet(name: "long"))
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                try await started.wait()
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
            }
            let job = try #require(try await queue.list(.available).first)
            #expect(job.attempt == 0)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A new job starts without polling, and is completed if it finishes in time at shutdown`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { _, database in
            let queue = JobQueue(database)
            let started = Gate()
            let resume = Gate()
            let worker = Greeter { _, _ in
                started.open()
                try await resume.wait()
            }
            var configuration = JobRunner.Configuration()
            configuration.pollInterval = .seconds(3600)
            configuration.shutdownTimeout = .seconds(3600)
            let runner = JobRunner(queue, workers: [worker], configuration: configuration, logger: logger)
            let group = ServiceGroup(services: [runner], logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                try await queue.enqueue(Greet(name: "Ada"))
                try await started.wait()
                await group.triggerGracefulShutdown()
                resume.open()
                try await tasks.waitForAll()
            }
            #expect(try await queue.list(.completed).count == 1)
        }
    }

    @Test(arguments: [1, 2, 5, 20, 1000])
    func `The retry delay grows with the fourth power of the attempt, up to a day`(attempt: Int) {
        let expected = min(Double(attempt * attempt * attempt * attempt), 86400)
        let delay = Backoff.delay(afterAttempt: attempt).seconds
        #expect((expected * 0.9...expected * 1.1).contains(delay))
    }
}
