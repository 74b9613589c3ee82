import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Synchronization
import Testing

@testable import ApusJobs

private struct Sync: Job {
    static let name = "sync"
    static let queue = "sync"
    static let group: JobGroup<Self>? = .by(\.account)
    let account: String
    var number = 0
}

/// Records which jobs have started, and how many run at the same time.
private final class Syncer: Worker {
    struct State {
        var started: [String] = []
        var running: [String: Int] = [:]
        var highest = 0
        var highestOfGroup = 0
    }

    let state = Mutex(State())
    let work: @Sendable (borrowing Mutex<State>) async throws -> Void

    init(_ work: @escaping @Sendable (borrowing Mutex<State>) async throws -> Void = { _ in }) { self.work = work }

    var started: [String] { state.withLock { $0.started } }

    func perform(_ job: Sync, _ context: JobContext) async throws {
        state.withLock { state in
            state.started.append("\(job.account)\(job.number)")
            state.running[job.account, default: 0] += 1
            state.highest = max(state.highest, state.running.values.reduce(0, +))
            state.highestOfGroup = max(state.highestOfGroup, state.running.values.max() ?? 0)
        }
        defer { state.withLock { $0.running[job.account, default: 0] -= 1 } }
        try await work(state)
    }
}

@Suite(.timeLimit(.minutes(10))) struct GroupTests {
    private let lab = JobLab()

    private func claim(
        _ queue: JobQueue, _ process: StubProcess, _ limit: Int, _ rules: QueueConfiguration = QueueConfiguration()
    ) async throws -> [String] {
        let worker = try #require(process.lease.current)
        let claim = Claim(queue: "sync", kinds: ["sync 1"], worker: worker, positions: Claim.start)
        return try await queue.store.claimFairly(claim, rules, limit: limit).jobs.map {
            let job = try $0.arguments.decode(Sync.self)
            return "\(job.account)\(job.number)"
        }
    }

    private func enqueue(_ queue: JobQueue, _ accounts: [String], each count: Int) async throws {
        for account in accounts {
            try await queue.enqueue(contentsOf: (0..<count).map { Sync(account: account, number: $0) })
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Jobs of groups are taken in turn, however many one of them has`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await enqueue(queue, ["a"], each: 50)
            try await enqueue(queue, ["b", "c"], each: 2)
            try await queue.enqueue(contentsOf: [Greet(name: "x")], JobOptions(queue: "sync"))
            let process = try await StubProcess(queue, lease: .seconds(300))
            var taken: [String] = []
            for _ in 0..<6 { taken += try await claim(queue, process, 1) }
            #expect(taken.map { $0.prefix(1) } == ["a", "b", "c", "a", "b", "c"])
            #expect(try await claim(queue, process, 8).count == 2)
            #expect(try await claim(queue, process, 8).allSatisfy { $0.hasPrefix("a") })
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Jobs without a group have their turn, too`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await enqueue(queue, ["a", "b"], each: 20)
            for name in ["x", "y"] { try await queue.enqueue(Greet(name: name), JobOptions(queue: "sync")) }
            let process = try await StubProcess(queue, lease: .seconds(300))
            var kinds: [String] = []
            for _ in 0..<6 {
                let worker = try #require(process.lease.current)
                let claim = Claim(queue: "sync", kinds: ["sync 1", "greet 1"], worker: worker, positions: Claim.start)
                kinds += try await queue.store.claimFairly(claim, QueueConfiguration(), limit: 1).jobs
                    .map { $0.group ?? $0.kind }
            }
            #expect(kinds == [#"["a"]"#, #"["b"]"#, "greet", #"["a"]"#, #"["b"]"#, "greet"])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Priority and time decide within a group`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await queue.enqueue(Sync(account: "a", number: 1))
            lab.clock.advance(by: .seconds(1))
            try await queue.enqueue(Sync(account: "a", number: 2), JobOptions(priority: .urgent))
            try await queue.enqueue(Sync(account: "a", number: 3), JobOptions(delay: .seconds(60), priority: .urgent))
            let process = try await StubProcess(queue, lease: .seconds(300))
            #expect(try await claim(queue, process, 1) == ["a2"])
            #expect(try await claim(queue, process, 4) == ["a1"])
            #expect(try await claim(queue, process, 4) == [])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Several thousand groups without due jobs hide none that is due`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let later = JobOptions(delay: .seconds(3600))
            try await queue.enqueue(contentsOf: (1000..<4000).map { Sync(account: "\($0)") }, later)
            let due = try await queue.enqueue(Sync(account: "2500")).id
            let worker = Syncer()
            let runner = lab.runner(queue, worker)
            let run = Task { try await runner.run() }
            try await queue.wait(for: due)
            run.cancel()
            try await run.value
            #expect(worker.started == ["25000"])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `All processes together run no more jobs than a queue and its groups may`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { queue, _ in
            try await enqueue(queue, ["a", "b", "c", "d"], each: 10)
            let ids = try await queue.list(.available).map(\.id)
            let rules = QueueConfiguration(limit: JobLimit(concurrency: 3), groupLimit: JobLimit(concurrency: 2))
            // Each waits until two run at the same time.
            let worker = Syncer { state in while state.withLock({ $0.highest }) < 2 { await Task.yield() } }
            let runners = (0..<3).map { _ in lab.runner(queue, worker) { $0.queues["sync"] = rules } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for runner in runners { group.addTask { try await runner.run() } }
                for id in ids { try await queue.wait(for: id) }
                group.cancelAll()
                try await group.waitForAll()
            }
            let (highest, highestOfGroup) = worker.state.withLock { ($0.highest, $0.highestOfGroup) }
            #expect(highest <= 3, "\(highest) ran at the same time")
            #expect(highestOfGroup <= 2, "\(highestOfGroup) of one group ran at the same time")
            #expect(worker.started.count == 40)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A queue starts as many jobs in a time as its rate allows`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await enqueue(queue, ["a", "b"], each: 20)
            let rules = QueueConfiguration(limit: JobLimit(rate: JobRate(60, per: .seconds(60), burst: 3)))
            let (one, other) = (
                try await StubProcess(queue, lease: .seconds(300)), try await StubProcess(queue, lease: .seconds(300))
            )
            #expect(try await claim(queue, one, 2, rules).count == 2)
            #expect(try await claim(queue, other, 9, rules).count == 1)
            #expect(try await claim(queue, one, 9, rules) == [])
            lab.clock.advance(by: .seconds(1))
            #expect(try await claim(queue, one, 9, rules).count == 1)
            #expect(try await claim(queue, other, 9, rules) == [])
            lab.clock.advance(by: .seconds(20))
            #expect(try await claim(queue, other, 9, rules).count == 3)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Each group starts as many jobs in a time as its rate allows`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            try await enqueue(queue, ["a", "b"], each: 20)
            let rules = QueueConfiguration(groupLimit: JobLimit(rate: JobRate(2, per: .seconds(1))))
            let process = try await StubProcess(queue, lease: .seconds(300))
            #expect(Set(try await claim(queue, process, 9, rules).map { $0.prefix(1) }) == ["a", "b"])
            #expect(try await claim(queue, process, 9, rules) == [])
            lab.clock.advance(by: .milliseconds(500))
            #expect(try await claim(queue, process, 9, rules).count == 2)
            try await queue.enqueue(Sync(account: "c"))
            #expect(try await claim(queue, process, 9, rules) == ["c0"])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A job uses a rate once, also if it is the only one`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let rate = JobLimit(rate: JobRate(1, per: .seconds(10), burst: 2))
            let rules = QueueConfiguration(limit: rate, groupLimit: rate)
            let process = try await StubProcess(queue, lease: .seconds(300))
            for count in [1, 1, 0] {
                try await queue.enqueue(Sync(account: "a"))
                #expect(try await claim(queue, process, 9, rules).count == count)
            }
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A clock that is set back does not stop a rate, and one that differs a little does not exceed it`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let past = JobOptions(time: lab.clock.now - 7200)
            try await queue.enqueue(contentsOf: (0..<9).map { Sync(account: "a", number: $0) }, past)
            let rate = JobLimit(rate: JobRate(1, per: .seconds(10)))
            let rules = QueueConfiguration(limit: rate, groupLimit: rate)
            let process = try await StubProcess(queue, lease: .seconds(300))
            #expect(try await claim(queue, process, 9, rules).count == 1)
            lab.clock.setDate(by: .seconds(-30))
            #expect(try await claim(queue, process, 9, rules) == [])
            lab.clock.setDate(by: .seconds(-3600))
            #expect(try await claim(queue, process, 9, rules).count == 1)
            #expect(try await claim(queue, process, 9, rules) == [])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Jobs with groups are found by programs that know no groups, and the other way round`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, database in
            let id = try await queue.enqueue(Greet(name: "Ada")).id
            try await database.execute("UPDATE apus_job SET group_key = 'new'")
            let worker = Greeter()
            let runner = lab.runner(queue, worker)
            let run = Task { try await runner.run() }
            try await queue.wait(for: id)
            run.cancel()
            try await run.value
            try await queue.enqueue(Sync(account: "a"))
            try await database.execute("UPDATE apus_job SET group_key = NULL")
            let syncer = Syncer()
            #expect(try await lab.runner(queue, syncer).runAvailable() == 1)
        }
    }

    @Test func `Limits that cannot be met are reported`() {
        let rules = QueueConfiguration(
            concurrency: 0, limit: JobLimit(concurrency: 0), groupLimit: JobLimit(rate: JobRate(0, per: .zero)))
        #expect(rules.problems(of: "mail").count == 3)
        #expect(QueueConfiguration(concurrency: 1).problems(of: "mail") == [])
    }
}
