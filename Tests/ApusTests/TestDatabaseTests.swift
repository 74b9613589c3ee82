import Apus
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Synchronization
import Testing

private enum CreateWords: Migration {
    static let id = "create-words"
    static let statements: [SQL] = ["CREATE TABLE words (word TEXT PRIMARY KEY)", "INSERT INTO words VALUES ('first')"]
}

private struct WordsModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.migrations.add(CreateWords.self)
        app.routes { routes, container in
            let (database, unitOfWork) = (
                try container.resolve((any Database).self), try container.resolve(UnitOfWork.self)
            )
            routes.post("words/:word", Path("word")) { word in
                try await unitOfWork.perform {
                    try await database.execute("INSERT INTO words VALUES (\(word))")
                }
                return NoContent()
            }
        }
    }
}

@Suite(.timeLimit(.minutes(10))) struct TestDatabaseTests {
    private static let all = TestDatabase.available + TestDatabase.available.map(\.rolledBack) + [.memory.rolledBack]

    private var app: App { App("words", engines: SQLiteEngine(), PostgresEngine()) { WordsModule() } }

    private func words(_ database: any Database) async throws -> [String] {
        try await database.query("SELECT word FROM words ORDER BY word", as: String.self)
    }

    @Test(arguments: all, TestApp.Transport.allCases)
    func `Tests at the same time do not see each other's changes`(
        database: TestDatabase, transport: TestApp.Transport
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<4 {
                group.addTask {
                    try await app.test(transport, on: database) { app in
                        #expect(try await app.client.post("/words/\(transport)\(number)").status == .noContent)
                        let stored: any Database = try app.resolve()
                        #expect(try await words(stored) == ["first", "\(transport)\(number)"])
                        #expect(try await app.client.post("/words/\(transport)\(number)").status == .conflict)
                        #expect(try await app.client.get("/health/ready").status == .ok)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: all) func `In a database that is rolled back, units of work behave as in any other`(
        database: TestDatabase
    ) async throws {
        struct Failure: Error {}
        try await database.run(SQLiteEngine(), PostgresEngine(), migrations: [CreateWords.self]) { database in
            let log = Mutex<[String]>([])
            let unitOfWork = UnitOfWork(database)
            await #expect(throws: Failure.self) {
                try await unitOfWork.perform {
                    try await database.execute("INSERT INTO words VALUES ('never')")
                    UnitOfWork.afterCommit { log.withLock { $0.append("never") } }
                    throw Failure()
                }
            }
            try await unitOfWork.perform {
                try await database.execute("INSERT INTO words VALUES ('kept')")
                UnitOfWork.afterCommit { log.withLock { $0.append("kept") } }
                try? await unitOfWork.perform(.savepoint) {
                    try await database.execute("INSERT INTO words VALUES ('undone')")
                    throw Failure()
                }
                #expect(log.withLock { $0 } == [])
            }
            #expect(log.withLock { $0 } == ["kept"])
            UnitOfWork.afterCommit { log.withLock { $0.append("in none") } }
            #expect(log.withLock { $0 } == ["kept", "in none"])
            // A statement that fails spoils nothing.
            await #expect(throws: AppError.self) { try await database.execute("INSERT INTO words VALUES ('kept')") }
            await #expect(throws: AppError.self) {
                try await unitOfWork.perform {
                    try? await unitOfWork.perform { throw Failure() }
                }
            }
            #expect(try await words(database) == ["first", "kept"])
            // Tasks that the test does not know take part.
            _ = try await Task.detached { try await database.execute("INSERT INTO words VALUES ('later')") }.value
            #expect(try await words(database).count == 3)
            let changed = try await database.change(reading: "SELECT word FROM words\(SQL.rowLock)") { rows in
                Change(["DELETE FROM words WHERE word = 'later'"], returning: rows.count)
            }
            #expect(changed == 3)
        }
    }

    @Test(arguments: TestDatabase.available) func `Concurrent transactions of a rolled back test take turns`(
        database: TestDatabase
    ) async throws {
        try await database.rolledBack.run(
            SQLiteEngine(), PostgresEngine(), migrations: [CreateWords.self]
        ) { database in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try? await database.transaction {
                            try await database.execute("INSERT INTO words VALUES (\("word \(number)"))")
                            if number.isMultiple(of: 2) { throw CancellationError() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await words(database).count == 11)
        }
    }

    @Test func `Nothing is left of the database of a test`() async throws {
        let path = try await TestDatabase.sqlite.run(SQLiteEngine(), migrations: [CreateWords.self]) { database in
            try await database.queryValue("SELECT file FROM pragma_database_list", as: String.self)
        }
        for suffix in ["", "-wal", "-shm", "-apus-lock"] {
            #expect(!FileManager.default.fileExists(atPath: try #require(path) + suffix))
        }
    }

    @Test(.enabled(if: TestPostgres.isAvailable)) func `Nothing is left of a database on Postgres`() async throws {
        let name = try await TestDatabase.postgres.run(PostgresEngine(), migrations: [CreateWords.self]) { database in
            try await database.queryValue("SELECT current_database()", as: String.self)
        }
        let count = try await TestPostgres.shared().psql(
            "SELECT count(*) FROM pg_database WHERE datname = '\(try #require(name))'")
        #expect(count == "0")
    }

    @Test func `A test on an engine that the app does not have fails with a reason`() async throws {
        let app = App("words", engines: SQLiteEngine()) { WordsModule() }
        let error = await #expect(throws: StartupError.self) { try await app.test(on: .postgres) { _ in } }
        #expect(error?.problems == ["This app has no engine for the scheme \"postgres\"."])
    }
}
