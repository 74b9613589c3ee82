import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Logging
import Synchronization
import Testing

private enum CreateItems: Migration {
    static let id = "1"
    static let statements: [SQL] = ["CREATE TABLE items (id int)", "INSERT INTO items VALUES (1), (1)"]
    static let undo: [SQL] = ["DROP TABLE items"]
}

private enum IndexItems: Migration {
    static let id = "2"
    static let isTransactional = false
    static let statements: [SQL] = ["CREATE INDEX CONCURRENTLY items_id ON items (id)"]
    static let undo: [SQL] = ["DROP INDEX CONCURRENTLY items_id"]
}

private enum AddName: Migration {
    static let id = "3"
    static let statements: [SQL] = ["ALTER TABLE items ADD COLUMN name text"]
}

private enum UniqueItems: Migration {
    static let id = "4"
    static let isTransactional = false
    static let statements: [SQL] = ["CREATE UNIQUE INDEX CONCURRENTLY items_unique ON items (id)"]
}

@Suite(.enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(5)))
struct PostgresMigrationTests {
    private struct Stop: Error {}

    /// The advisory locks that sessions of the test's database hold.
    private static let locks: SQL = """
        SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """

    private func other(_ database: PostgresDatabase, _ server: TestPostgres, log: Logger? = nil) async throws
        -> PostgresDatabase
    {
        let name = try await database.value("SELECT current_database()", as: String.self)
        let configuration = try PostgresConfiguration(url: server.url(database: name, parameters: "connect_timeout=60"))
        return try PostgresDatabase(configuration, log: log ?? Logger(label: "apus.postgres"))
    }

    @Test func `Migrators at the same time apply each migration once`() async throws {
        try await withDatabase { database, server async throws in
            let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let database = try await other(database, server)
                        // One that waited for the lock inside a statement would hold up the index for ever.
                        let migrator = Migrator(database, [CreateItems.self, IndexItems.self])
                        let result = await Result { try await migrator.run() }
                        await database.close()
                        return try result.get()
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(applied.sorted() == ["1", "2"])
            #expect(try await database.value(Self.locks) == 0)
        }
    }

    @Test func `Migrations need no second connection of the pool, and are undone`() async throws {
        try await withDatabase(parameters: "pool_size=1&shared_connections=1") { database, _ async throws in
            let migrator = Migrator(database, [CreateItems.self, IndexItems.self])
            #expect(try await migrator.run() == ["1", "2"])
            #expect(try await migrator.down(2) == ["2", "1"])
            #expect(try await migrator.run() == ["1", "2"])
        }
    }

    @Test func `The lock is waited for until the deadline, and freed in any case`() async throws {
        try await withDatabase { database, server async throws in
            let second = try await other(database, server)
            let (holds, release) = (Gate(), Gate())
            let holder = Task {
                try await database.withMigrationLock {
                    // The same task has it already.
                    try await database.withMigrationLock {}
                    holds.open()
                    try await release.wait()
                    throw Stop()
                }
            }
            try await holds.wait()
            let error = await code {
                try await withDeadline(.after(.milliseconds(200))) { try await second.withMigrationLock {} }
            }
            #expect(error == .deadlineExceeded)
            release.open()
            await #expect(throws: Stop.self) { try await holder.value }
            let count = try await second.withMigrationLock { try await database.value(Self.locks, as: Int.self) }
            #expect(count == 1)
            #expect(try await database.value(Self.locks) == 0)
            await second.close()
        }
    }

    @Test func `A migration gives up waiting for a table, so that others can read it, and is tried again`()
        async throws
    {
        try await withDatabase { database, server async throws in
            try await Migrator(database, [CreateItems.self]).run()
            let (holds, release) = (Gate(), Gate())
            async let holder: Void = database.transaction {
                _ = try await database.query("SELECT * FROM items")
                holds.open()
                try await release.wait()
            }
            try await holds.wait()
            let second = try await other(database, server)
            async let applied = Migrator(second, [CreateItems.self, AddName.self]).run()
            let waiting: SQL = """
                SELECT count(*)::int FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%'
                """
            while try await database.value(waiting, as: Int.self) == 0 {}
            // Waits behind the migration, which gives up first.
            #expect(try await second.value("SELECT count(*)::int FROM items") == 2)
            release.open()
            try await holder
            #expect(try await applied == ["3"])
            await second.close()
        }
    }

    @Test func `Other transactions have no limit for waiting`() async throws {
        try await withDatabase { database, _ async throws in
            let timeout: SQL = "SELECT current_setting('lock_timeout')"
            let inside = try await database.withMigrationLock {
                try await database.transaction { try await database.value(timeout, as: String.self) }
            }
            #expect(inside == "2s")
            #expect(try await database.transaction { try await database.value(timeout) } == "0")
        }
    }

    @Test func `An index that could not be completed is named in the log`() async throws {
        try await withDatabase { database, server async throws in
            let lines = LogLines()
            let second = try await other(database, server, log: Logger(label: "test") { _ in lines })
            try await Migrator(second, [CreateItems.self]).run()
            let migrator = Migrator(second, [CreateItems.self, UniqueItems.self])
            #expect(await code { try await migrator.run() } == .alreadyExists)
            #expect(!lines.all.contains { $0.contains("items_unique") && $0.contains("invalid indexes") })
            try await second.withMigrationLock {}
            #expect(lines.all.contains { $0.contains("items_unique") && $0.contains("invalid indexes") })
            await second.close()
        }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
