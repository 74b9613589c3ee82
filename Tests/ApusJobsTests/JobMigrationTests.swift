import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct JobMigrationTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available)
    func `Jobs that were not done when queues were introduced are kept, and run`(database: TestDatabase) async throws {
        try await database.run(SQLiteEngine(), PostgresEngine(), migrations: [CreateJobs.self]) { database in
            let now = lab.clock.now
            for (name, state) in [("a", "available"), ("b", "running"), ("c", "completed"), ("d", "discarded")] {
                try await database.execute(
                    """
                    INSERT INTO apus_jobs (
                        id, kind, payload, state, max_attempts, unique_key, run_at, created_at, finished_at)
                    VALUES (
                        \(JobRecord.ID()), 'greet', \("{\"name\":\"\(name)\"}"), \(state), 3, \(name), \(now), \(now),
                        \((name < "c" ? nil : now).sqlValue))
                    """)
            }
            try await Migrator(database, JobQueue.migrations).run()
            let queue = JobQueue(database, clock: lab.clock)
            #expect(try await queue.enqueue(Greet(name: "z"), JobOptions(uniqueKey: "a")).isNew == false)
            let worker = Greeter()
            #expect(try await lab.runner(queue, worker).runAvailable() == 2)
            #expect(Set(worker.names) == ["a", "b"])
            #expect(try await queue.list(.discarded).count == 1)
        }
    }
}
