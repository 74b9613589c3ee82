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

@Suite(.timeLimit(.minutes(10))) struct LeaseTests {
    private let lab = JobLab()
    private var clock: ManualClock { lab.clock }

    @Test(arguments: TestDatabase.available)
    func `A job is released when the lease of its process expires, and that process can no longer complete it`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            try await queue.enqueue(Greet(name: "Ada"))
            let dead = try await StubProcess(queue)
            let claimed = try #require(try await dead.claim(10).first)
            let runner = lab.runner(queue, Greeter())
            #expect(try await runner.rescue() == 0)
            clock.advance(by: .milliseconds(19_999))
            #expect(try await runner.rescue() == 0)
            #expect(try await runner.runAvailable() == 0)
            clock.advance(by: .milliseconds(1))
            #expect(try await runner.rescue() == 1)
            let reclaimed = try #require(try await StubProcess(queue).claim(10).first)
            #expect(reclaimed.fence == claimed.fence + 1)
            #expect(try await queue.store.complete(claimed.id, fence: claimed.fence) == nil)
            #expect(try await queue.store.store([Outcome(job: claimed, kind: .discarded)]).lost == [claimed.id])
            #expect(try await queue.store.complete(reclaimed.id, fence: reclaimed.fence) != nil)
            #expect(try await queue.errors(of: claimed.id).map(\.description) == ["The worker died."])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A process that beats keeps its jobs, whatever the wall clock says`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, database in
            try await queue.enqueue(Greet(name: "Ada"))
            let process = try await StubProcess(queue)
            #expect(try await process.claim(1).count == 1)
            let runner = lab.runner(queue, Greeter())
            #expect(try await runner.rescue() == 0)
            for step in 0..<10 {
                clock.advance(by: .seconds(10))
                #expect(try await process.lease.beat())
                try await database.execute("UPDATE apus_job_worker SET seen_at = \(clock.now - Double(step) * 3600)")
                #expect(try await runner.rescue() == 0)
            }
            clock.advance(by: .seconds(19))
            #expect(try await runner.rescue() == 0)
            clock.advance(by: .seconds(1))
            #expect(try await runner.rescue() == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A process that was frozen past its lease starts nothing, and gets a new lease`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            for name in ["a", "b"] { try await queue.enqueue(Greet(name: name)) }
            let frozen = try await StubProcess(queue)
            let first = frozen.lease.current
            #expect(try await frozen.claim(1).count == 1)
            let runner = lab.runner(queue, Greeter())
            #expect(try await runner.rescue() == 0)
            clock.advance(by: .seconds(20))
            #expect(frozen.lease.current == nil)
            #expect(try await runner.rescue() == 1)
            #expect(try await frozen.lease.beat() == false)
            #expect(frozen.lease.current != nil && frozen.lease.current != first)
            #expect(try await frozen.claim(10).count == 2)
        }
    }

    @Test(arguments: TestDatabase.available) func `A process does not release its own running jobs`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
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
            let runner = lab.runner(queue, worker)
            holder.withLock { $0 = runner }
            try await queue.enqueue(Greet(name: "Ada"))
            _ = try await runner.runAvailable()
            #expect(rescued.withLock { $0 } == [0, 0, 0])
            holder.withLock { $0 = nil }
        }
    }

    @Test(arguments: TestDatabase.available) func `Thousands of jobs of a dead process are released`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            #expect(try await queue.enqueue(contentsOf: (0..<2500).map { Greet(name: "\($0)") }) == 2500)
            #expect(try await StubProcess(queue).claim(2500).count == 2500)
            let runner = lab.runner(queue, Greeter())
            #expect(try await runner.rescue() == 0)
            clock.advance(by: .seconds(20))
            #expect(try await runner.rescue() == 2500)
        }
    }

    @Test(arguments: TestDatabase.available) func `A job whose worker dies at every attempt becomes a dead letter`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, database in
            try await queue.enqueue(Greet(name: "Ada"))
            for _ in 0..<3 {
                #expect(try await StubProcess(queue).claim(1).count == 1)
                try await database.execute("DELETE FROM apus_job_worker")
                #expect(try await queue.store.releaseOrphans() == 1)
            }
            #expect(try await queue.list(.discarded).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Many processes claim and complete jobs without waiting or conflicts`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            try await queue.enqueue(contentsOf: (0..<400).map { Greet(name: "\($0)") })
            let claimed = try await withThrowingTaskGroup(of: [JobRecord.ID].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let process = try await StubProcess(queue)
                        var all: [JobRecord.ID] = []
                        while true {
                            let jobs = try await process.claim(7)
                            guard !jobs.isEmpty else { return all }
                            #expect(jobs.count <= 7)
                            all += jobs.map(\.id)
                            #expect(try await process.lease.beat())
                            let outcomes = jobs.shuffled().map { Outcome(job: $0, kind: .completed) }
                            #expect(try await queue.store.store(outcomes).lost.isEmpty)
                            _ = try await queue.store.deleteFinished(retention: [.completed: .zero], limit: 100)
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
    func `A job that is being completed in an open transaction delays nobody else`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, database in
            // On SQLite, one transaction excludes all others, which wait for their turn.
            guard database.dialect == .postgres else { return }
            for name in ["a", "b"] { try await queue.enqueue(Greet(name: name)) }
            let process = try await StubProcess(queue)
            let jobs = try await process.claim(2)
            try await database.transaction {
                #expect(try await queue.store.complete(jobs[0].id, fence: jobs[0].fence) != nil)
                try await Task.detached {
                    #expect(try await process.lease.beat())
                    try await process.lease.end()
                    #expect(try await queue.store.releaseOrphans() == 1)
                }.value
            }
            #expect(try await queue.list(.completed).map(\.id) == [jobs[0].id])
        }
    }
}
