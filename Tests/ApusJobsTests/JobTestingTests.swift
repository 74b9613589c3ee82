import ApusCore
import ApusTesting
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct JobTestingTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available)
    func `A test sees which jobs are enqueued, and runs them in its own task`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let first = try await queue.enqueue(Greet(name: "a")).id
            try await queue.enqueue(Greet(name: "b"), JobOptions(delay: .seconds(60)))
            try await queue.enqueue(Greet(name: "c"), JobOptions(after: [first]))
            #expect(try await queue.enqueued(Greet.self).map(\.name) == ["a", "b", "c"])
            let worker = Greeter()
            #expect(try await queue.drain(worker) == 2)
            #expect(try await queue.enqueued(Greet.self).map(\.name) == ["b"])
            lab.clock.advance(by: .seconds(60))
            #expect(try await queue.drain(worker) == 1)
            #expect(worker.names == ["a", "c", "b"])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A test waits for a job without sleeping`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let gate = Gate()
            let runner = lab.runner(queue, Greeter { _, _ in try await gate.wait() })
            let run = Task { try await runner.run() }
            let id = try await queue.enqueue(Greet(name: "a")).id
            let waiting = Task { try await queue.wait(for: id) }
            gate.open()
            #expect(try await waiting.value.state == .completed)
            run.cancel()
            try await run.value
            let error = await #expect(throws: AppError.self) { () async throws in
                try await queue.wait(for: JobRecord.ID())
            }
            #expect(error?.code == .notFound)
        }
    }
}
