import ApusCore
import ApusData
import ApusTesting
import Foundation
import Testing

@testable import ApusJobs

private struct Sync: Job {
    static let name = "sync"
    static let uniqueness: Uniqueness<Self>? = .by(\.account, \.region)
    var account: Int
    var region = "eu"
    var reason = ""
}

private struct Report: Job {
    static let name = "report"
    static let uniqueness: Uniqueness<Self>? = .byArguments(
        per: .seconds(3600), while: [.waiting, .available, .running, .completed])
    var month: Int
}

private struct SyncWorker: Worker {
    func perform(_ job: Sync, _ context: JobContext) async throws {}
}

private struct ReportWorker: Worker {
    func perform(_ job: Report, _ context: JobContext) async throws {}
}

@Suite(.timeLimit(.minutes(10))) struct UniquenessTests {
    private let lab = JobLab()

    @Test(arguments: TestDatabase.available) func `Jobs with the same fields are the same while one is not done`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let first = try await queue.enqueue(Sync(account: 1, reason: "a"))
            #expect(first.isNew)
            #expect(try await queue.enqueue(Sync(account: 1, reason: "b")) == EnqueuedJob(id: first.id, isNew: false))
            #expect(try await queue.enqueue(Sync(account: 2)).isNew)
            #expect(try await queue.enqueue(Sync(account: 1, region: "us")).isNew)
            #expect(try await lab.runner(queue, SyncWorker()).runAvailable() == 3)
            #expect(try await queue.enqueue(Sync(account: 1)).isNew)
        }
    }

    @Test(arguments: TestDatabase.available) func `A job can be unique in a period, even after it is done`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let start = Date(timeIntervalSince1970: 1_800_000_000)
            #expect(try await queue.enqueue(Report(month: 1), JobOptions(time: start)).isNew)
            lab.clock.advance(by: .seconds(max(0, start.timeIntervalSince(lab.clock.now))))
            #expect(try await lab.runner(queue, ReportWorker()).runAvailable() == 1)
            #expect(try await !queue.enqueue(Report(month: 1), JobOptions(time: start + 3599)).isNew)
            #expect(try await queue.enqueue(Report(month: 2), JobOptions(time: start + 3599)).isNew)
            #expect(try await queue.enqueue(Report(month: 1), JobOptions(time: start + 3600)).isNew)
        }
    }

    @Test(arguments: TestDatabase.available) func `Of many tasks that enqueue the same job, one succeeds`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let results = try await withThrowingTaskGroup(of: EnqueuedJob.self) { group in
                for number in 0..<50 {
                    group.addTask { try await queue.enqueue(Sync(account: 1, reason: "\(number)")) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.count(where: \.isNew) == 1)
            #expect(Set(results.map(\.id)).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available) func `Of many jobs enqueued at once, the repeated ones are left out`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            #expect(try await queue.enqueue(contentsOf: (0..<100).map { Sync(account: $0 % 7) }) == 7)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Jobs of unknown kinds and of later versions wait for a program that knows them`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, database async throws in
            try await queue.enqueue(Sync(account: 1))
            try await queue.enqueue(Greet(name: "new"))
            try await database.execute("UPDATE apus_job SET version = 2 WHERE kind = 'greet'")
            let greeter = Greeter()
            #expect(try await lab.runner(queue, greeter).runAvailable() == 0)
            #expect(try await queue.list(.available).count == 2)
            try await database.execute("UPDATE apus_job SET version = 1 WHERE kind = 'greet'")
            #expect(try await lab.runner(queue, greeter, SyncWorker()).runAvailable() == 2)
        }
    }
}
