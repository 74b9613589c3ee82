import ApusCore
import ApusData
import ApusTesting
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct OutcomeTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available)
    func `An outcome that cannot be stored makes its job a dead letter, and does not stop the others`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, database async throws in
            var ids: [JobRecord.ID] = []
            for name in ["Ada", "Bob", "Eve"] { ids.append(try await queue.enqueue(Greet(name: name)).id) }
            let jobs = try await StubProcess(queue).claim(3)
            try await reject(ids[1], database)
            let writer = OutcomeWriter(queue.store, logger: lab.logger)
            writer.add(jobs.map { Outcome(job: $0, kind: .completed) })
            await writer.close()
            var states: [JobState] = []
            for id in ids { states.append(try #require(try await queue.find(id)).state) }
            #expect(states == [.completed, .discarded, .completed])
            let errors = try await queue.errors(of: ids[1])
            #expect(errors.count == 1)
            #expect(errors.first?.description.hasPrefix("Its outcome could not be stored: ") == true)
        }
    }

    /// Makes the database refuse to complete a job.
    private func reject(_ id: JobRecord.ID, _ database: any Database) async throws {
        switch database.dialect {
        case .sqlite:
            try await database.execute(
                SQL(
                    stringLiteral: """
                        CREATE TRIGGER refuse BEFORE UPDATE ON apus_job WHEN NEW.state = 'completed' AND NEW.id = '\(id)'
                        BEGIN SELECT RAISE(ABORT, 'refused'); END
                        """))
        case .postgres:
            try await database.execute(
                SQL(
                    stringLiteral:
                        "ALTER TABLE apus_job ADD CONSTRAINT refuse CHECK (state <> 'completed' OR id <> '\(id)')"))
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A delayed job starts when it is due, although others were claimed a moment before`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { queue, _ async throws in
            let worker = Greeter()
            let runner = lab.runner(queue, worker) { $0.pollInterval = .seconds(3600) }
            let run = Task { try await runner.run() }
            let delayed = try await queue.enqueue(Greet(name: "later"), JobOptions(delay: .seconds(2))).id
            try await queue.wait(for: try await queue.enqueue(Greet(name: "now")).id)
            try await queue.wait(for: delayed)
            #expect(worker.names == ["now", "later"])
            run.cancel()
            try await run.value
        }
    }
}
