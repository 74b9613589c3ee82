import ApusCore
import ApusData
import ApusTesting
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct LostClaimTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available)
    func `A job that nobody knows at two beats is returned, uncounted`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            for _ in 0..<2 { try await queue.enqueue(Greet(name: "Ada")) }
            let process = try await StubProcess(queue)
            let claimed = try await process.claim(2)
            let worker = try #require(process.lease.current)
            let claims = LostClaims(queue.store)
            let known: Set = [AttemptKey(claimed[0])]
            #expect(try await claims.giveBack(of: worker) { known } == 0)
            #expect(try await claims.giveBack(of: worker) { known } == 1)
            #expect(try await queue.find(claimed[0].id)?.state == .running)
            let returned = try #require(try await queue.find(claimed[1].id))
            #expect(returned.state == .available)
            #expect(returned.attempt == 0)
            #expect(try await claims.giveBack(of: worker) { known } == 0)
            // What the late answer starts has no effect on the job.
            #expect(try await process.claim(1).map(\.id) == [returned.id])
            #expect(try await queue.store.complete(returned.id, fence: claimed[1].fence) == nil)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A running process finds jobs that it was given without knowing`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { queue, database in
            let (first, lost) = (
                try await queue.enqueue(Greet(name: "Ada")).id,
                try await queue.enqueue(Greet(name: "Bob"), JobOptions(delay: .seconds(900))).id
            )
            let runner = lab.runner(queue, Greeter()) { $0.leaseDuration = .milliseconds(600) }
            let run = Task { try await runner.run() }
            try await queue.wait(for: first)
            try await database.execute(
                """
                UPDATE apus_job SET state = 'running', attempt = 1, fence = 1, run_at = created_at,
                    worker = (SELECT id FROM apus_job_worker)
                WHERE id = \(lost)
                """)
            #expect(try await queue.wait(for: lost).attempt == 1)
            run.cancel()
            try await run.value
        }
    }

    @Test(arguments: TestDatabase.available)
    func `The worker of a job that is cancelled is cancelled at once, in any process`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { queue, database in
            let (starts, start) = AsyncStream.makeStream(of: Void.self)
            let (ends, end) = AsyncStream.makeStream(of: Void.self)
            let worker = Greeter { _, _ in
                start.yield()
                defer { end.yield() }
                try await Task.sleep(for: .seconds(3600))
            }
            let runner = lab.runner(queue, worker) { $0.leaseDuration = .seconds(3600) }
            let run = Task { try await runner.run() }
            // Where nothing connects processes, only this one is notified.
            let other = database.pubSub == nil ? queue : JobQueue(database)
            let id = try await other.enqueue(Greet(name: "Ada")).id
            for await _ in starts { break }
            try await other.cancel(id)
            for await _ in ends { break }
            #expect(try await queue.find(id)?.state == .cancelled)
            run.cancel()
            try await run.value
        }
    }
}
