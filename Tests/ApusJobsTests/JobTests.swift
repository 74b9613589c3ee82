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

@Suite(.timeLimit(.minutes(10))) struct JobTests {
    private let clock = ManualClock()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameter connections: The maximum number of transactions at the same time on Postgres.
    private func withQueue(
        on database: TestDatabase, connections: Int = 10, _ body: (JobQueue, any Database) async throws -> Void
    ) async throws {
        let postgres = PostgresEngine { $0.poolSize = connections }
        try await database.run(SQLiteEngine(), postgres, migrations: JobQueue.migrations) {
            database in
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
            try await database.execute("UPDATE apus_job SET payload = '{\"nome\":1}'")
            _ = try await runner(queue, Greeter()).runAvailable()
            #expect(try await queue.list(.discarded).count == 1)
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

    @Test(arguments: TestDatabase.available)
    func `A job completed in the transaction of its effects is committed with them or not at all`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, database in
            try await database.execute("CREATE TABLE effects (name TEXT)")
            let worker = Greeter { job, context in
                if job.name == "late" {
                    // Another worker takes over the job while this one is running it.
                    try await database.execute("DELETE FROM apus_job_worker")
                    #expect(try await queue.store.releaseOrphans() == 1)
                    #expect(try await StubProcess(queue).claim(1).count == 1)
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
            #expect(try await queue.enqueue(Greet(name: "a"), JobOptions(uniqueKey: "k")).isNew)
            #expect(try await queue.enqueue(Greet(name: "b"), JobOptions(uniqueKey: "k")).isNew == false)
            _ = try await runner(queue, Greeter()).runAvailable()
            #expect(try await queue.enqueue(Greet(name: "c"), JobOptions(uniqueKey: "k")).isNew)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A dead letter is not retried while another job with its unique key waits`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            let worker = Greeter { _, _ in throw AppError(.invalidArgument, "The name is empty.") }
            try await queue.enqueue(Greet(name: ""), JobOptions(uniqueKey: "k"))
            _ = try await runner(queue, worker).runAvailable()
            let dead = try #require(try await queue.list(.discarded).first)
            try await queue.enqueue(Greet(name: "b"), JobOptions(uniqueKey: "k"))
            let error = await #expect(throws: AppError.self) { try await queue.retry(dead.id) }
            #expect(error?.code == .alreadyExists)
            #expect(try await queue.list(.discarded).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `A delayed job does not run before its time`(
        database: TestDatabase
    ) async throws {
        try await withQueue(on: database) { queue, _ in
            try await queue.enqueue(Greet(name: "a"), JobOptions(delay: .seconds(60)))
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
