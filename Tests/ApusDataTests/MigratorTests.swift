import ApusCore
import ApusData
import ApusSQLite
import Testing

private enum First: Migration {
    static let id = "1"
    static let statements: [SQL] = ["CREATE TABLE a (x INTEGER)"]
}

private enum FirstChanged: Migration {
    static let id = "1"
    static let statements: [SQL] = ["CREATE TABLE a (x TEXT)"]
}

private enum Second: Migration {
    static let id = "2"
    static let statements: [SQL] = ["CREATE TABLE b (x INTEGER)", "INSERT INTO b VALUES (1)"]
}

private enum Broken: Migration {
    static let id = "3"
    static let statements: [SQL] = ["CREATE TABLE c (x INTEGER)", "INSERT INTO nowhere VALUES (1)"]
}

@Suite struct MigratorTests {
    private func withEmptyDatabase(_ body: (SQLiteDatabase) async throws -> Void) async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try await body(database)
        await database.close()
    }

    @Test func `Pending migrations are applied once and in order`() async throws {
        try await withEmptyDatabase { database async throws in
            #expect(try await Migrator(database, [First.self]).run() == ["1"])
            let migrator = Migrator(database, [First.self, Second.self])
            #expect(try await migrator.pending() == ["2"])
            #expect(try await migrator.run() == ["2"])
            #expect(try await migrator.run() == [])
            #expect(try await database.query("SELECT x FROM b").count == 1)
        }
    }

    @Test func `A changed, unknown or duplicate migration is rejected`() async throws {
        try await withEmptyDatabase { database async throws in
            try await Migrator(database, [First.self]).run()
            let changed = await #expect(throws: AppError.self) {
                try await Migrator(database, [FirstChanged.self]).run()
            }
            #expect(changed?.message.contains("was changed") == true)
            let unknown = await #expect(throws: AppError.self) { try await Migrator(database, [Second.self]).run() }
            #expect(unknown?.message.contains("does not know") == true)
            let duplicate = await #expect(throws: AppError.self) {
                try await Migrator(database, [First.self, FirstChanged.self]).run()
            }
            await #expect(throws: AppError.self) { try await Migrator(database, [FirstChanged.self]).pending() }
            #expect(duplicate?.message.contains("Two migrations") == true)
        }
    }

    @Test func `A failed migration is rolled back, and earlier ones stay applied`() async throws {
        try await withEmptyDatabase { database async throws in
            await #expect(throws: AppError.self) { try await Migrator(database, [First.self, Broken.self]).run() }
            #expect(try await Migrator(database, [First.self, Broken.self]).pending() == ["3"])
            await #expect(throws: AppError.self) { try await database.query("SELECT * FROM c") }
            _ = try await database.query("SELECT * FROM a")
        }
    }
}
