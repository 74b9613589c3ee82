import ApusCore
import ApusData
import ApusTesting
import Foundation
import Testing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct ScheduleTests {
    private let lab = JobLab()

    private func hourly(_ missed: MissedRuns = .once) throws -> JobSchedule {
        JobSchedule("hourly", try Cron("0 * * * *"), missed: missed) { Greet(name: "\(Int($0.timeIntervalSince1970))") }
    }

    private func scheduler(_ queue: JobQueue, _ schedule: JobSchedule) async throws -> Scheduler {
        let process = try await StubProcess(queue)
        let leadership = Leadership(queue.store, process.lease, logger: lab.logger)
        return Scheduler(queue, [schedule], leadership, pollInterval: .seconds(3600), logger: lab.logger)
    }

    @Test(arguments: TestDatabase.available)
    func `A job is enqueued at each time, once, even if two processes think that they are leaders`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let schedulers = [try await scheduler(queue, try hourly()), try await scheduler(queue, try hourly())]
            for scheduler in schedulers { _ = try await scheduler.enqueueDue() }
            #expect(try await queue.list(.available).isEmpty)
            for hour in 1...3 {
                lab.clock.advance(by: .seconds(3600))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for scheduler in schedulers { group.addTask { _ = try await scheduler.enqueueDue() } }
                    try await group.waitForAll()
                }
                #expect(try await queue.list(.available).count == hour)
            }
            let times = try await queue.list(.available).map(\.runAt)
            #expect(Set(times.map { Int($0.timeIntervalSince1970) % 3600 }) == [0])
        }
    }

    @Test(
        arguments: TestDatabase.available,
        [(MissedRuns.once, 1), (.all(atMost: 100), 5), (.all(atMost: 2), 2), (.skipped(after: .seconds(60)), 0)])
    func `Runs that were missed are treated as their policy says`(
        database: TestDatabase, policy: (missed: MissedRuns, count: Int)
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let before = try await scheduler(queue, try hourly(policy.missed))
            _ = try await before.enqueueDue()
            lab.clock.advance(by: .seconds(5 * 3600 + 600))
            let after = try await scheduler(queue, try hourly(policy.missed))
            _ = try await after.enqueueDue()
            #expect(try await queue.list(.available).count == policy.count)
            let latest = lab.clock.now.addingTimeInterval(-600)
            if policy.count > 0 { #expect(try await queue.list(.available).last?.runAt == latest) }
            lab.clock.advance(by: .seconds(3000))
            _ = try await after.enqueueDue()
            #expect(try await queue.list(.available).count == policy.count + 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Of very many missed runs the latest one is enqueued`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let often = JobSchedule("often", try Cron("* * * * *")) { _ in Greet(name: "often") }
            _ = try await scheduler(queue, often).enqueueDue()
            lab.clock.advance(by: .seconds(30 * 86400))
            _ = try await scheduler(queue, often).enqueueDue()
            #expect(try await queue.list(.available).map(\.runAt) == [lab.clock.now])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A schedule whose times have changed runs at the new ones`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            _ = try await scheduler(queue, try hourly()).enqueueDue()
            let half = JobSchedule("hourly", try Cron("30 * * * *")) { _ in Greet(name: "half") }
            #expect(try await scheduler(queue, half).enqueueDue() == .seconds(1800))
            lab.clock.advance(by: .seconds(3600))
            _ = try await scheduler(queue, half).enqueueDue()
            #expect(try await queue.list(.available).count == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A run whose job cannot be enqueued is not lost, and delays no other schedule`(
        database: TestDatabase
    ) async throws {
        struct Failure: Error {}
        try await lab.withQueue(on: database) { queue, _ in
            let failing = JobSchedule("failing", try Cron("0 * * * *")) { _ -> Greet in throw Failure() }
            let process = try await StubProcess(queue)
            let leadership = Leadership(queue.store, process.lease, logger: lab.logger)
            let both = Scheduler(
                queue, [failing, try hourly()], leadership, pollInterval: .seconds(1), logger: lab.logger)
            _ = try await both.enqueueDue()
            lab.clock.advance(by: .seconds(3600))
            _ = try await both.enqueueDue()
            #expect(try await queue.list(.available).count == 1)
            let mended = JobSchedule("failing", try Cron("0 * * * *")) { _ in Greet(name: "mended") }
            _ = try await scheduler(queue, mended).enqueueDue()
            #expect(try await queue.list(.available).count == 2)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `One process is the leader, and another one takes over when it stops or dies`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ in
            let processes = [try await StubProcess(queue), try await StubProcess(queue), try await StubProcess(queue)]
            let candidates = processes.map { Leadership(queue.store, $0.lease, logger: lab.logger) }
            for candidate in candidates { try await candidate.campaign() }
            #expect(candidates.map(\.isLeader) == [true, false, false])
            try await processes[0].lease.end()
            for candidate in candidates.dropFirst() { try await candidate.campaign() }
            #expect(candidates.map(\.isLeader) == [false, true, false])
            _ = try await processes[2].lease.releaseDead()
            for _ in 0..<3 {
                lab.clock.advance(by: .seconds(10))
                _ = try await processes[2].lease.beat()
                _ = try await processes[2].lease.releaseDead()
            }
            try await candidates[2].campaign()
            #expect(candidates.map(\.isLeader) == [false, false, true])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `The jobs of a schedule run at its times, and a leader that stops is followed at once`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { queue, _ in
            let (names, continuation) = AsyncStream.makeStream(of: String.self)
            var ticks = names.makeAsyncIterator()
            let greeter = Greeter { job, _ in continuation.yield(job.name) }
            // A lease so long that nobody looks whether the leader is gone.
            func runner(_ name: String) throws -> JobRunner {
                var configuration = JobRunner.Configuration()
                configuration.leaseDuration = .seconds(600)
                let everySecond = JobSchedule("tick", try Cron("* * * * * *")) { _ in Greet(name: name) }
                return JobRunner(
                    queue, workers: [greeter], schedules: [everySecond], configuration: configuration,
                    logger: lab.logger)
            }
            let (first, second) = (try runner("first"), try runner("second"))
            let firstRun = Task { try await first.run() }
            #expect(await ticks.next() == "first")
            let secondRun = Task { try await second.run() }
            firstRun.cancel()
            try await firstRun.value
            while await ticks.next() != "second" {}
            secondRun.cancel()
            try await secondRun.value
        }
    }

    @Test func `Two schedules of one name are reported`() throws {
        #expect(JobSchedule.duplicateNames(of: [try hourly(), try hourly()]).count == 1)
        #expect(JobSchedule.duplicateNames(of: [try hourly()]) == [])
    }
}
