import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import FoundationEssentials
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
    static let undo: [SQL] = ["DROP TABLE b"]
}

private enum Broken: Migration {
    static let id = "3"
    static let statements: [SQL] = ["CREATE TABLE c (x INTEGER)", "INSERT INTO nowhere VALUES (1)"]
}

/// A migration in Swift.
private enum Doubled: Migration {
    static let id = "4"

    static func up(_ database: any Database) async throws {
        for x in try await database.query("SELECT x FROM b", as: Int.self) {
            try await database.execute("INSERT INTO b VALUES (\(2 * x))")
        }
    }

    static func down(_ database: any Database) async throws { try await database.execute("DELETE FROM b WHERE x > 1") }
}

private enum Alone: Migration {
    static let id = "6"
    static let statements: [SQL] = ["VACUUM"]
    static let undo: [SQL] = ["VACUUM"]
    static let isTransactional = false
}

@Suite(.timeLimit(.minutes(5))) struct MigratorTests {
    private func withEmptyDatabase(
        _ database: TestDatabase, _ body: (any Database) async throws -> Void
    ) async throws {
        try await database.run(SQLiteEngine(), PostgresEngine(), migrations: [], body)
    }

    @Test(arguments: TestDatabase.available) func `Pending migrations are applied once and in order`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            #expect(try await Migrator(database, [First.self]).run() == ["1"])
            let migrator = Migrator(database, [First.self, Second.self])
            #expect(try await migrator.pending() == ["2"])
            #expect(try await migrator.run() == ["2"])
            #expect(try await migrator.run() == [])
            #expect(try await database.query("SELECT x FROM b").count == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `A changed, unknown or duplicate migration is rejected, and the difference is named`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            try await Migrator(database, [First.self]).run()
            let changed = await #expect(throws: AppError.self) {
                try await Migrator(database, [FirstChanged.self]).run()
            }
            #expect(changed?.code == .failedPrecondition)
            for part in [
                "The migration 1 was changed", "statement 1", "CREATE TABLE a (x INTEGER)", "CREATE TABLE a (x TEXT)",
            ] {
                #expect(changed?.message.contains(part) == true, "\(part)")
            }
            let unknown = await #expect(throws: AppError.self) { try await Migrator(database, [Second.self]).run() }
            #expect(unknown?.message.contains("has the migration 1, which this program does not know") == true)
            let duplicate = await #expect(throws: AppError.self) {
                try await Migrator(database, [First.self, FirstChanged.self]).run()
            }
            await #expect(throws: AppError.self) { try await Migrator(database, [FirstChanged.self]).pending() }
            #expect(duplicate?.message.contains("Two migrations have the id 1") == true)
        }
    }

    @Test(arguments: TestDatabase.available) func `All disagreements are named at once`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            try await Migrator(database, [First.self, Second.self]).run()
            let error = await #expect(throws: AppError.self) { try await Migrator(database, [FirstChanged.self]).run() }
            #expect(error?.message.contains("migration 1 was changed") == true)
            #expect(error?.message.contains("migration 2, which") == true)
            // Nothing is undone then either.
            await #expect(throws: AppError.self) { try await Migrator(database, [FirstChanged.self]).down() }
        }
    }

    @Test(arguments: TestDatabase.available) func `A changed value in a statement is a change`(
        database: TestDatabase
    ) async throws {
        enum Insert: Migration {
            static let id = "7"
            static let statements: [SQL] = ["CREATE TABLE e (x INTEGER)", "INSERT INTO e VALUES (\(1))"]
        }
        enum InsertOther: Migration {
            static let id = "7"
            static let statements: [SQL] = ["CREATE TABLE e (x INTEGER)", "INSERT INTO e VALUES (\(2))"]
        }
        try await withEmptyDatabase(database) { database async throws in
            try await Migrator(database, [Insert.self]).run()
            let error = await #expect(throws: AppError.self) { try await Migrator(database, [InsertOther.self]).run() }
            #expect(error?.message.contains("statement 2") == true)
        }
    }

    @Test(arguments: TestDatabase.available) func `A failed migration is rolled back, and earlier ones stay applied`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            await #expect(throws: AppError.self) { try await Migrator(database, [First.self, Broken.self]).run() }
            #expect(try await Migrator(database, [First.self, Broken.self]).pending() == ["3"])
            await #expect(throws: AppError.self) { try await database.query("SELECT * FROM c") }
            _ = try await database.query("SELECT * FROM a")
        }
    }

    @Test(arguments: TestDatabase.available) func `Migrations are undone, latest first, and applied again`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            let migrator = Migrator(database, [First.self, Second.self, Doubled.self])
            try await migrator.run()
            #expect(try await database.query("SELECT x FROM b ORDER BY x", as: Int.self) == [1, 2])
            #expect(try await migrator.down() == ["4"])
            #expect(try await database.query("SELECT x FROM b", as: Int.self) == [1])
            #expect(try await migrator.run() == ["4"])
            #expect(try await migrator.down(2) == ["4", "2"])
            await #expect(throws: AppError.self) { try await database.query("SELECT * FROM b") }
            let error = await #expect(throws: AppError.self) { try await migrator.down() }
            #expect(error?.code == .failedPrecondition)
            #expect(error?.message.contains("1 cannot be undone") == true)
            #expect(try await migrator.pending() == ["2", "4"])
        }
    }

    @Test(arguments: TestDatabase.available) func `A statement that runs in no transaction is applied and undone`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            let migrator = Migrator(database, [Alone.self])
            #expect(try await migrator.run() == ["6"])
            #expect(try await migrator.run() == [])
            #expect(try await migrator.down() == ["6"])
        }
    }

    @Test(arguments: TestDatabase.available) func `The status lists what is applied, pending, changed and unknown`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            let clock = ManualClock(start: Date(timeIntervalSince1970: 1000))
            try await Migrator(database, [First.self, Second.self], clock: clock).run()
            let status = try await Migrator(database, [FirstChanged.self, Doubled.self]).status()
            #expect(status.map(\.id) == ["1", "4", "2"])
            #expect(status.map(\.state) == [.changed, .pending, .unknown])
            #expect(status.map(\.appliedAt) == [clock.now, nil, clock.now])
        }
    }

    @Test(arguments: TestDatabase.available) func `What only reads the history creates nothing`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            let migrator = Migrator(database, [First.self])
            #expect(try await migrator.pending() == ["1"])
            #expect(try await migrator.status().map(\.state) == [.pending])
            #expect(try await migrator.dryRun().map(\.id) == ["1"])
            await #expect(throws: AppError.self) { try await database.query("SELECT * FROM apus_migrations") }
        }
    }

    @Test(arguments: TestDatabase.available) func `A dry run names the statements and applies nothing`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            let plans = try await Migrator(database, [First.self, Doubled.self, Alone.self]).dryRun()
            #expect(plans.map(\.id) == ["1", "4", "6"])
            #expect(plans.map(\.statements) == [["CREATE TABLE a (x INTEGER)"], [], ["VACUUM"]])
            #expect(plans.map(\.isTransactional) == [true, true, false])
            await #expect(throws: AppError.self) { try await database.query("SELECT * FROM a") }
        }
    }

    @Test(arguments: TestDatabase.available) func `A database of the time before statements were stored is read`(
        database: TestDatabase
    ) async throws {
        try await withEmptyDatabase(database) { database async throws in
            try await Migrator(database, [First.self]).run()
            try await database.execute("ALTER TABLE apus_migrations DROP COLUMN source")
            #expect(try await Migrator(database, [First.self, Second.self]).run() == ["2"])
            let changed = await #expect(throws: AppError.self) {
                try await Migrator(database, [FirstChanged.self, Second.self]).run()
            }
            #expect(changed?.message.contains("The migration 1 was changed") == true)
        }
    }

    @Test func `Migrators at the same time apply each migration once`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            var options = SQLiteOptions()
            options.busyTimeout = .seconds(60)
            let applied = try await withThrowingTaskGroup(of: [String].self) { [options] group in
                for _ in 0..<8 {
                    group.addTask {
                        let database = try SQLiteDatabase(path: path, options: options)
                        let applied = try await Migrator(database, [First.self, Second.self, Doubled.self]).run()
                        await database.close()
                        return applied
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(applied.sorted() == ["1", "2", "4"])
        }
    }

    @Test(arguments: [("add-order-totals", "AddOrderTotals"), ("Create users_2", "CreateUsers2")])
    func `A new migration has a type, a dated id, and both directions`(name: String, type: String) throws {
        let template = try MigrationTemplate(name: name, date: Date(timeIntervalSince1970: 1_795_737_600))
        #expect(template.fileName == "\(type).swift")
        #expect(template.source.contains("enum \(type): Migration {"))
        #expect(template.source.contains("static let id = \"2026-11-27-"))
        #expect(template.source.contains("static let undo: [SQL]"))
    }

    @Test(arguments: ["", "-", "1-a", "a/b", "../x", "ä", "a\"b"]) func `A name that is no word is rejected`(
        name: String
    ) {
        #expect(throws: AppError.self) { try MigrationTemplate(name: name, date: Date()) }
    }
}
