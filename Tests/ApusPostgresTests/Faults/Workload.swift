import ApusCore
import ApusData
import ApusPostgres
import Synchronization
import Testing

/// Work of many tasks that changes two rows together, while a server fails. What the tasks were told is compared with
/// what the server has.
final class Workload: Sendable {
    private struct Counts {
        var committed = 0
        var unknown = 0
        var unexpected: [String] = []
        var isStopped = false
    }

    private let counts = Mutex(Counts())

    /// How many units of work have succeeded so far.
    var committed: Int { counts.withLock { $0.committed } }

    /// Ends the tasks after their current unit of work.
    func stop() { counts.withLock { $0.isStopped = true } }

    static func prepare(_ database: PostgresDatabase) async throws {
        for statement in FaultScenario.tables { try await database.execute(statement) }
    }

    /// Works with 16 tasks, and meanwhile runs a closure that makes the server fail.
    func run(on database: PostgresDatabase, while body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let scenarios: [FaultScenario] = [.write, .transaction, .savepoint, .change]
            for number in 0..<16 {
                group.addTask { await self.work(scenarios[number % scenarios.count], database) }
            }
            do {
                try await body()
            } catch {
                stop()
                throw error
            }
            try await group.waitForAll()
        }
    }

    private func work(_ scenario: FaultScenario, _ database: PostgresDatabase) async {
        while !counts.withLock({ $0.isStopped }) {
            let error = await failure { try await bounded { try await scenario.run(on: database) } }
            counts.withLock { counts in
                switch error?.code {
                case nil: counts.committed += 1
                case .unknown: counts.unknown += 1
                case .unavailable, .aborted: break
                default: counts.unexpected.append("\(scenario): \(String(reflecting: error))")
                }
            }
        }
    }

    /// Waits until so many further units of work have succeeded.
    func waitForProgress(_ count: Int = 50) async throws {
        let goal = committed + count
        try await bounded { while self.committed < goal { await Task.yield() } }
    }

    /// Checks that everything that was reported as committed is on the server, and nothing that was reported as failed,
    /// and that no half of anything is.
    func check(_ database: PostgresDatabase) async throws {
        let effect = try await FaultScenario.write.effect(database)
        let (committed, unknown, unexpected) = counts.withLock { ($0.committed, $0.unknown, $0.unexpected) }
        #expect(effect.isWhole)
        #expect((committed...(committed + unknown)).contains(effect.commits))
        #expect(unexpected == [])
        let statistics = await database.detailedStatistics()
        #expect(statistics.waitingForExclusive == 0 && statistics.waitingStatements == 0)
        #expect(statistics.runningStatements == 0)
        #expect(statistics.exclusiveConnections == statistics.idleExclusiveConnections)
    }
}
