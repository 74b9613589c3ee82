import ApusCore
import ApusData
import ApusTesting
import Foundation
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct AdministrationTests {
    private struct Grouped: Job {
        static let name = "grouped"
        static let group: JobGroup<Self>? = .by(\.name)
        let name: String
    }

    private struct Single: Job {
        static let name = "single"
        static let uniqueness: Uniqueness<Self>? = .byArguments()
        let number: Int
    }

    private let lab = JobLab()

    @Test(arguments: TestDatabase.available, [JobState.available, .waiting, .running, .completed, .discarded])
    func `Lists of jobs have pages, which together have every job once`(
        database: TestDatabase, state: JobState
    ) async throws {
        try await lab.withQueue(on: database) { queue, database in
            for number in 0..<7 {
                let priority: JobPriority = number % 2 == 0 ? .normal : .high
                try await queue.enqueue(Greet(name: "\(number)"), JobOptions(priority: priority))
                try await queue.enqueue(Grouped(name: "\(number)"))
                lab.clock.advance(by: .seconds(1))
            }
            let finishedAt = state.isFinal ? lab.clock.now : nil
            try await database.execute("UPDATE apus_job SET state = \(state), finished_at = \(finishedAt.sqlValue)")
            var seen: [JobRecord.ID] = []
            var last: JobRecord?
            while true {
                let page = try await queue.list(state, after: last, limit: 3)
                guard let final = page.last else { break }
                seen += page.map(\.id)
                last = final
            }
            #expect(seen.count == 14 && Set(seen).count == 14)
            #expect(try await queue.list(state, kind: "grouped").count == 7)
            #expect(try await queue.list(state, queue: "other").isEmpty)
        }
    }

    @Test(arguments: TestDatabase.available, JobState.allCases)
    func `A page looks at a limited number of jobs, and is continued after them`(
        database: TestDatabase, state: JobState
    ) async throws {
        try await lab.withQueue(on: database) { queue, database in
            for number in 0..<25 {
                try await queue.enqueue(Greet(name: "\(number)"), JobOptions(tags: number % 12 == 11 ? ["rare"] : []))
                try await queue.enqueue(Grouped(name: "\(number)"), JobOptions(tags: number == 24 ? ["rare"] : []))
                lab.clock.advance(by: .seconds(1))
            }
            let finishedAt = state.isFinal ? lab.clock.now : nil
            try await database.execute("UPDATE apus_job SET state = \(state), finished_at = \(finishedAt.sqlValue)")
            func search(tag: String?, limit: Int) async throws -> (pages: Int, jobs: [JobRecord]) {
                var pages = 0
                var jobs: [JobRecord] = []
                var last: JobCursor?
                while true {
                    let page = try await queue.page(state, tag: tag, after: last, limit: limit, maximumExamined: 10)
                    pages += 1
                    jobs += page.jobs
                    guard let next = page.next else { return (pages, jobs) }
                    last = next
                }
            }
            let rare = try await search(tag: "rare", limit: 5)
            #expect(Set(rare.jobs.map(\.id)).count == 3 && rare.jobs.count == 3)
            #expect(rare.pages >= 5)
            let all = try await search(tag: nil, limit: 7)
            #expect(Set(all.jobs.map(\.id)).count == 50 && all.jobs.count == 50)
            #expect(all.pages == 8)
            #expect(all.jobs.allSatisfy { $0.arguments.json.isEmpty })
        }
    }

    @Test(arguments: TestDatabase.available)
    func `All dead letters are retried but those that other jobs forbid`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, database in
            for number in 0..<600 { try await queue.enqueue(Single(number: number)) }
            try await database.execute("UPDATE apus_job SET state = 'discarded', finished_at = \(lab.clock.now)")
            for number in [0, 17, 599] { try await queue.enqueue(Single(number: number)) }
            let first = try await queue.retryDiscarded(kind: "single", queue: nil, limit: 100)
            #expect(first.count >= 100 && !first.isComplete)
            let rest = try await queue.retryDiscarded()
            #expect(rest == 597 - first.count)
            #expect(try await queue.list(.discarded).count == 3)
            #expect(try await queue.counts()[.available] == 600)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Jobs are found by whole tags`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await queue.enqueue(Greet(name: "a"), JobOptions(tags: ["trial", "50%_off"]))
            try await queue.enqueue(Greet(name: "b"), JobOptions(tags: ["trials"]))
            try await queue.enqueue(Greet(name: "c"))
            #expect(try await queue.list(.available, tag: "trial").count == 1)
            #expect(try await queue.list(.available, tag: "50%_off").count == 1)
            #expect(try await queue.list(.available, tag: "5%").isEmpty)
            for tag in ["%", "TRIAL", "trial\u{301}", "_", "\\", ""] {
                #expect(try await queue.list(.available, tag: tag).isEmpty)
            }
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Statistics name every queue that has jobs, is paused or is run by a process`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await queue.enqueue(Greet(name: "a"))
            try await queue.enqueue(Greet(name: "b"), JobOptions(delay: .seconds(60)))
            try await queue.enqueue(Grouped(name: "c"), JobOptions(queue: "grouped"))
            try await queue.pause("paused")
            try await queue.store.register(queues: ["idle", "paused"])
            _ = try await StubProcess(queue).claim(1)
            lab.clock.advance(by: .seconds(5))
            let statistics = try await queue.statistics()
            #expect(statistics.map(\.queue) == ["default", "grouped", "idle", "paused"])
            #expect(statistics.map(\.available) == [1, 1, 0, 0])
            #expect(statistics.map(\.running) == [1, 0, 0, 0])
            #expect(statistics.map(\.latency) == [nil, .seconds(5), nil, nil])
            #expect(statistics.map(\.isPaused) == [false, false, false, true])
            let counts = try await queue.counts()
            #expect(counts[.available] == 2 && counts[.running] == 1 && counts[.completed] == 0)
            let processes = try await queue.processes()
            #expect(processes.map(\.processID) == [Int(ProcessInfo.processInfo.processIdentifier)])
        }
    }
}
