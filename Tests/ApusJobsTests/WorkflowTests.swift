import ApusCore
import ApusData
import ApusTesting
import Foundation
import Synchronization
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct WorkflowTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available)
    func `A job runs after all jobs that it needs, however they are completed`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            var parts: [JobRecord.ID] = []
            for name in ["a", "b", "c"] { parts.append(try await queue.enqueue(Greet(name: name)).id) }
            let whole = try await queue.enqueue(Greet(name: "whole"), JobOptions(after: parts)).id
            let last = try await queue.enqueue(Greet(name: "last"), JobOptions(after: [whole])).id
            #expect(try await queue.find(whole)?.state == .waiting)
            #expect(try await queue.needs(of: whole) == parts.sorted())
            let worker = Greeter { job, context in if job.name == "b" { try await context.complete() } }
            #expect(try await lab.runner(queue, worker).runAvailable() == 5)
            #expect(worker.names == ["a", "b", "c", "whole", "last"])
            #expect(try await queue.find(last)?.state == .completed)
            let after = try await queue.enqueue(Greet(name: "after"), JobOptions(after: parts))
            #expect(try await queue.find(after.id)?.state == .available)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job that needs many is released once, by whichever process completes the last one`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { queue, _ in
            var parts: [JobRecord.ID] = []
            for number in 0..<60 { parts.append(try await queue.enqueue(Greet(name: "\(number)")).id) }
            let whole = try await queue.enqueue(Greet(name: "whole"), JobOptions(after: parts)).id
            let worker = Greeter()
            let runners = (0..<3).map { _ in lab.runner(queue, worker) { $0.concurrency = 4 } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for runner in runners { group.addTask { try await runner.run() } }
                try await queue.wait(for: whole)
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(worker.names.count == 61 && worker.names.last == "whole")
            #expect(try await queue.needs(of: whole) == [])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job waits while one that it needs is a dead letter, and is cancelled with it`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let isBroken = Mutex(true)
            let first = try await queue.enqueue(Greet(name: "first")).id
            let second = try await queue.enqueue(Greet(name: "second"), JobOptions(after: [first])).id
            let third = try await queue.enqueue(Greet(name: "third"), JobOptions(after: [second])).id
            let worker = Greeter { job, _ in
                if job.name == "first", isBroken.withLock({ $0 }) { throw JobDecision.discard("broken") }
                if job.name == "second" { throw JobDecision.cancel("not needed") }
            }
            let runner = lab.runner(queue, worker)
            #expect(try await runner.runAvailable() == 1)
            #expect(try await queue.find(second)?.state == .waiting)
            isBroken.withLock { $0 = false }
            try await queue.retry(first)
            #expect(try await runner.runAvailable() == 2)
            #expect(try await queue.find(third)?.state == .cancelled)
            #expect(try await queue.find(third)?.lastError?.contains("waited") == true)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Jobs that wait are cancelled with the job that they need, and when it is deleted`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            func chain() async throws -> [JobRecord.ID] {
                var ids = [try await queue.enqueue(Greet(name: "x")).id]
                for _ in 0..<2 { ids.append(try await queue.enqueue(Greet(name: "x"), JobOptions(after: ids)).id) }
                return ids
            }
            func states(_ ids: [JobRecord.ID]) async throws -> [JobState?] {
                var states: [JobState?] = []
                for id in ids { states.append(try await queue.find(id)?.state) }
                return states
            }
            let cancelled = try await chain()
            try await queue.cancel(cancelled[0])
            #expect(try await states(cancelled) == [.cancelled, .cancelled, .cancelled])
            let deleted = try await chain()
            let worker = Greeter { _, _ in throw JobDecision.discard("broken") }
            #expect(try await lab.runner(queue, worker).runAvailable() == 1)
            #expect(try await states(deleted) == [.discarded, .waiting, .waiting])
            try await queue.delete(deleted[0])
            #expect(try await states(deleted) == [nil, .cancelled, .cancelled])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A cancelled job that is retried no longer depends on the one with which it was cancelled`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let first = try await queue.enqueue(Greet(name: "first")).id
            let second = try await queue.enqueue(Greet(name: "second"), JobOptions(after: [first])).id
            try await queue.cancel(first)
            try await queue.retry(second)
            let third = try await queue.enqueue(Greet(name: "third"), JobOptions(after: [second])).id
            try await queue.delete(first)
            #expect(try await queue.find(third)?.state == .waiting)
            #expect(try await queue.drain(Greeter()) == 2)
            #expect(try await queue.find(third)?.state == .completed)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job cannot run after one that does not exist or is cancelled`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let cancelled = try await queue.enqueue(Greet(name: "x")).id
            try await queue.cancel(cancelled)
            for (id, code) in [(JobRecord.ID(), StatusCode.notFound), (cancelled, .failedPrecondition)] {
                let error = await #expect(throws: AppError.self) { () async throws in
                    try await queue.enqueue(Greet(name: "y"), JobOptions(after: [id]))
                }
                #expect(error?.code == code)
            }
            #expect(try await queue.list(.waiting).isEmpty)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Many jobs can be enqueued to run after others`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let first = try await queue.enqueue(Greet(name: "first")).id
            let rest = (0..<5).map { Greet(name: "\($0)") }
            #expect(try await queue.enqueue(contentsOf: rest, JobOptions(after: [first])) == 5)
            let worker = Greeter()
            #expect(try await lab.runner(queue, worker).runAvailable() == 6)
            #expect(worker.names.first == "first")
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job waits for the jobs that it has enqueued, and does no step twice`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let steps = Mutex<[String]>([])
            let worker = Greeter { job, context in
                guard job.name == "whole" else { return }
                let parts = try await context.step("split") {
                    steps.withLock { $0.append("split") }
                    var parts: [JobRecord.ID] = []
                    for name in ["a", "b"] { parts.append(try await queue.enqueue(Greet(name: name)).id) }
                    return parts
                }
                try await context.wait(for: parts)
                try await context.step("join") { steps.withLock { $0.append("join") } }
                if context.attempt == 1 { throw AppError(.unavailable, "once more") }
            }
            let id = try await queue.enqueue(Greet(name: "whole")).id
            let runner = lab.runner(queue, worker)
            #expect(try await runner.runAvailable() == 4)
            #expect(try await queue.find(id)?.attempt == 1)
            lab.clock.advance(by: .seconds(2))
            #expect(try await runner.runAvailable() == 1)
            #expect(try await queue.find(id)?.state == .completed)
            #expect(steps.withLock { $0 } == ["split", "join"])
            #expect(worker.names == ["whole", "a", "b", "whole", "whole"])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job that waits for a dead letter, for nothing known or for itself becomes a dead letter`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let other = Mutex<JobRecord.ID?>(nil)
            let worker = Greeter { job, context in
                switch job.name {
                case "broken": throw JobDecision.discard("broken")
                case "itself": try await context.wait(for: [context.id])
                case "unknown": try await context.wait(for: [JobRecord.ID()])
                default: try await context.wait(for: [try #require(other.withLock { $0 })])
                }
            }
            let broken = try await queue.enqueue(Greet(name: "broken")).id
            other.withLock { $0 = broken }
            for name in ["itself", "unknown", "dead letter"] { try await queue.enqueue(Greet(name: name)) }
            #expect(try await lab.runner(queue, worker).runAvailable() == 4)
            #expect(try await queue.list(.discarded).count == 4)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A step of a worker that has lost its lease is not stored`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, database in
            let worker = Greeter { _, context in
                try await database.execute("UPDATE apus_job SET fence = fence + 1")
                try await context.step("late") {}
            }
            try await queue.enqueue(Greet(name: "x"))
            #expect(try await lab.runner(queue, worker).runAvailable() == 1)
            let steps = try await database.query("SELECT count(*) FROM apus_job_step")
            #expect(try steps[0].get(0) == 0)
        }
    }
}
