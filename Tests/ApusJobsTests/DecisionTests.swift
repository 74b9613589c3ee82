import ApusCore
import ApusData
import ApusTesting
import Foundation
import ServiceLifecycle
import Synchronization
import Testing

@testable import ApusJobs

/// What workers, and administrators, decide about jobs.
@Suite(.timeLimit(.minutes(10))) struct DecisionTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available)
    func `A delay without an end is limited, and stops no other job`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let worker = Greeter { job, _ in
                if job.name == "late" { throw JobDecision.snooze(.seconds(Int64.max)) }
            }
            let late = try await queue.enqueue(Greet(name: "late")).id
            let other = try await queue.enqueue(Greet(name: "other")).id
            let runner = lab.runner(queue, worker)
            let run = Task { try await runner.run() }
            try await queue.wait(for: other)
            try await queue.wait(for: late, until: .available)
            run.cancel()
            try await run.value
            #expect(try await queue.find(late)?.runAt ?? .distantPast > lab.clock.now)
        }
    }

    @Test(arguments: TestDatabase.available) func `A snoozed job runs again later, and the attempt does not count`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let worker = Greeter { _, context in
                #expect(context.attempt == 1)
                throw JobDecision.snooze(.seconds(60))
            }
            let runner = lab.runner(queue, worker)
            try await queue.enqueue(Greet(name: "Ada"))
            for _ in 0..<5 {
                #expect(try await runner.runAvailable() == 1)
                lab.clock.advance(by: .seconds(59))
                #expect(try await runner.runAvailable() == 0)
                lab.clock.advance(by: .seconds(1))
            }
            let job = try #require(try await queue.list(.available).first)
            #expect(try await queue.errors(of: job.id).isEmpty)
        }
    }

    @Test(arguments: TestDatabase.available) func `A worker can cancel and discard its job, with a reason`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let worker = Greeter { job, _ in
                throw job.name == "a" ? JobDecision.cancel("not needed") : JobDecision.discard("broken")
            }
            for name in ["a", "b"] { try await queue.enqueue(Greet(name: name)) }
            #expect(try await lab.runner(queue, worker).runAvailable() == 2)
            #expect(try await queue.list(.cancelled).map(\.lastError) == ["not needed"])
            #expect(try await queue.list(.discarded).map(\.lastError) == ["broken"])
        }
    }

    @Test(arguments: TestDatabase.available) func `The errors of all attempts are kept, with their times`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let worker = Greeter { _, context in throw AppError(.unavailable, "Failure \(context.attempt).") }
            let job = try await queue.enqueue(Greet(name: "Ada"))
            var times: [Date] = []
            for _ in 0..<3 {
                times.append(lab.clock.now)
                #expect(try await lab.runner(queue, worker).runAvailable() == 1)
                lab.clock.advance(by: .seconds(100))
            }
            let errors = try await queue.errors(of: job.id)
            #expect(errors.map(\.attempt) == [1, 2, 3])
            #expect(errors.map(\.time) == times)
            #expect(errors.last?.description.contains("Failure 3.") == true)
            try await queue.delete(job.id)
            #expect(try await queue.errors(of: job.id).isEmpty)
        }
    }

    @Test(arguments: TestDatabase.available) func `Dead letters are retried all together, or those of a kind`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let worker = Greeter { _, _ in throw JobDecision.discard("broken") }
            try await queue.enqueue(contentsOf: (0..<3).map { Greet(name: "\($0)") })
            #expect(try await lab.runner(queue, worker).runAvailable() == 3)
            #expect(try await queue.retryDiscarded(kind: "other") == 0)
            #expect(try await queue.retryDiscarded(kind: "greet") == 3)
            #expect(try await queue.list(.available).map(\.attempt) == [0, 0, 0])
        }
    }

    @Test(arguments: TestDatabase.available) func `A job that waits can be cancelled, and one that is done cannot`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let job = try await queue.enqueue(Greet(name: "Ada"))
            try await queue.cancel(job.id)
            #expect(try await lab.runner(queue, Greeter()).runAvailable() == 0)
            let again = await #expect(throws: AppError.self) { try await queue.cancel(job.id) }
            #expect(again?.code == .failedPrecondition)
            let missing = await #expect(throws: AppError.self) { try await queue.cancel(JobRecord.ID()) }
            #expect(missing?.code == .notFound)
            try await queue.retry(job.id)
            #expect(try await lab.runner(queue, Greeter()).runAvailable() == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `A paused queue starts nothing until it is resumed`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            try await queue.pause("default")
            try await queue.enqueue(Greet(name: "Ada"))
            #expect(try await lab.runner(queue, Greeter()).runAvailable() == 0)
            try await queue.resume("default")
            #expect(try await lab.runner(queue, Greeter()).runAvailable() == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `Jobs run by priority, then by time, then as they were enqueued`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let now = lab.clock.now
            try await queue.enqueue(Greet(name: "low"), JobOptions(priority: .low))
            try await queue.enqueue(Greet(name: "second"))
            try await queue.enqueue(Greet(name: "third"))
            try await queue.enqueue(Greet(name: "first"), JobOptions(time: now - 10))
            try await queue.enqueue(Greet(name: "urgent"), JobOptions(priority: .urgent))
            try await queue.enqueue(Greet(name: "future"), JobOptions(delay: .seconds(1), priority: .urgent))
            let worker = Greeter()
            #expect(try await lab.runner(queue, worker).runAvailable() == 5)
            #expect(worker.names == ["urgent", "first", "second", "third", "low"])
        }
    }

    @Test func `A worker that ignores its cancellation loses its slot, and the others go on`() async throws {
        try await lab.withQueue(on: .sqlite, clock: SystemClock()) { queue, _ async throws in
            let (thaw, second) = (Gate(), Gate())
            let worker = Greeter { job, _ in
                if job.name == "other" { return second.open() }
                // Not cancellable.
                await Task.detached { try? await thaw.wait() }.value
            }
            let runner = lab.runner(queue, worker) { configuration in
                configuration.concurrency = 1
                configuration.cancellationGrace = .milliseconds(1)
                configuration.pollInterval = .milliseconds(5)
            }
            let stuck = try await queue.enqueue(Greet(name: "stuck"), JobOptions(timeout: .milliseconds(1)))
            let task = Task { try await runner.run() }
            try await queue.enqueue(Greet(name: "other"), JobOptions(delay: .milliseconds(10)))
            try await second.wait()
            thaw.open()
            task.cancel()
            try await task.value
            let errors = try await queue.errors(of: stuck.id)
            #expect(errors.first?.description.contains("did not end") == true)
        }
    }
}
