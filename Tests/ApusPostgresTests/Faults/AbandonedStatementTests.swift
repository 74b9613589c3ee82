import ApusCore
import ApusData
import ApusTesting
import NIOCore
import Testing

@testable import ApusPostgres

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct AbandonedStatementTests {
    private func lock() -> SQL { "SELECT pg_advisory_xact_lock(\(7))" }

    private func sleep(_ seconds: Double) -> SQL { "SELECT pg_sleep(\(seconds))" }

    private static let sleeping: SQL = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'
        """

    @Test(arguments: [false, true])
    func `A statement whose task is gone before it begins does not keep its connection`(
        isFirstCancelled: Bool
    ) async throws {
        try await withDatabase(configure: { $0.sharedConnections = 1 }) { database, _ async throws in
            let (holder, observer) = (
                try PostgresDatabase(database.configuration), try PostgresDatabase(database.configuration)
            )
            try await onOneLoop {
                // Statements that are known to be fast are written one behind the other. On a busy machine, an execution can
                // seem slow.
                let limit = Duration.nanoseconds(PostgresConnection.slowDuration.nanoseconds)
                var (rounds, durations) = (0, [Duration]())
                repeat {
                    (rounds, durations) = (rounds + 1, [])
                    for statement in [lock(), sleep(0)] {
                        durations.append(
                            try await ContinuousClock().measure { _ = try await database.query(statement) })
                    }
                } while rounds < 2 || durations.contains { $0 > limit }
                let first = try await holder.transaction {
                    _ = try await holder.query(lock())
                    return try await UnitOfWork.allowingOtherDatabases {
                        let first = Task.immediate { await code { _ = try await database.query(lock()) } }
                        let second = Task.immediate { await code { _ = try await database.query(sleep(600)) } }
                        #expect(await database.detailedStatistics().runningStatements == 2)
                        second.cancel()
                        #expect(await second.value == .cancelled)
                        if isFirstCancelled {
                            first.cancel()
                            try await bounded { while try await observer.value(Self.sleeping, as: Int.self) > 0 {} }
                        }
                        return first
                    }
                }
                #expect(await first.value == (isFirstCancelled ? .cancelled : nil))
                try await bounded { while try await observer.value(Self.sleeping, as: Int.self) > 0 {} }
                #expect(try await database.value("SELECT 5", as: Int.self) == 5)
            }
            await holder.close()
            await observer.close()
        }
    }

    @Test func `A statement that the database ends by its own limit has exceeded the deadline`() async throws {
        try await withDatabase(parameters: "statement_timeout=100ms") { database, _ async throws in
            #expect(await code { _ = try await database.query(sleep(600)) } == .deadlineExceeded)
            #expect(try await database.value("SELECT 5", as: Int.self) == 5)
        }
    }
}
