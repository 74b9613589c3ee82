import ApusCore
import ApusData
import ApusTesting
import Foundation
import Synchronization
import Testing

@testable import ApusSQLite

/// No checkpoint of one connection may meet the commit of another one. With `SQLITE_STRESS_ROWS=200000`, the test with
/// several processes runs for minutes.
@Suite(.timeLimit(.minutes(30))) struct CheckpointTests {
    private static let rows = ProcessInfo.processInfo.environment["SQLITE_STRESS_ROWS"].flatMap { Int($0) } ?? 1000

    private final class Flag: Sendable {
        private let value = Mutex(false)
        var isSet: Bool { value.withLock { $0 } }
        func set() { value.withLock { $0 = true } }
    }

    private func size(of path: String) -> Int {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.intValue ?? 0
    }

    private func createTables(_ path: String) async throws {
        let database = try SQLiteDatabase(path: path)
        try await database.execute(
            "CREATE TABLE numbers (writer TEXT, number INTEGER, padding BLOB, PRIMARY KEY (writer, number))")
        try await database.execute("CREATE TABLE counters (total INTEGER)")
        try await database.execute("INSERT INTO counters VALUES (0)")
        await database.close()
    }

    @Test func `Processes that share a file lose no acknowledged row, although one of them is killed`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            try await createTables(path)
            let writers = try ["a", "b"].map { try WriterProcess(path, name: $0, count: Self.rows) }
            // More rows than it can write before it is killed.
            let victim = try WriterProcess(path, name: "victim", count: 1_000_000)
            await victim.waitForRows(Self.rows / 4)
            victim.kill()
            #expect(try await victim.waitForExit() == -SIGKILL)
            for writer in writers { #expect(try await writer.waitForExit() == 0) }

            let database = try SQLiteDatabase(path: path)
            for writer in writers + [victim] {
                let rows = try await database.query("SELECT number FROM numbers WHERE writer = \(writer.name)")
                let stored = Set(try rows.map { try $0.get(0, as: Int.self) })
                #expect(stored.isSuperset(of: writer.acknowledged))
                if writer !== victim { #expect(stored.count == Self.rows) }
            }
            let increments: Int? = try await database.query("SELECT COUNT(*) FROM numbers WHERE number % 4 = 0").first?
                .get(0)
            #expect(try await database.query("SELECT total FROM counters").first?.get(0) == increments)
            #expect(try await database.query("PRAGMA integrity_check").first?.get(0) == "ok")
            await database.close()
        }
    }

    @Test func `The write-ahead log stays short while two connections take turns`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            try await createTables(path)
            var options = SQLiteOptions()
            options.durability = .process
            options.checkpointPages = 50
            let databases = [
                try SQLiteDatabase(path: path, options: options), try SQLiteDatabase(path: path, options: options),
            ]
            let padding = [UInt8](repeating: 7, count: 20_000)
            // 40 MB in all.
            for number in 0..<2000 {
                try await databases[number % 2].execute("INSERT INTO numbers VALUES ('a', \(number), \(padding))")
                if number % 100 == 0 { #expect(size(of: path + "-wal") < 9 << 20) }
            }
            for database in databases { await database.close() }
            #expect(size(of: path) > 40_000_000)
        }
    }

    @Test func `The write-ahead log stays short although reads overlap without a gap`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            try await createTables(path)
            var options = SQLiteOptions()
            options.durability = .process
            options.checkpointPages = 50
            let database = try SQLiteDatabase(path: path, options: options)
            let padding = [UInt8](repeating: 7, count: 20_000)
            try await withThrowingTaskGroup(of: Void.self) { group in
                let isDone = Flag()
                for _ in 0..<8 {
                    group.addTask {
                        while !isDone.isSet {
                            _ = try await database.query("SELECT SUM(length(padding)) FROM numbers")
                        }
                    }
                }
                for number in 0..<2000 {
                    try await database.execute("INSERT INTO numbers VALUES ('a', \(number), \(padding))")
                }
                #expect(size(of: path + "-wal") < 20 << 20)
                isDone.set()
                try await group.waitForAll()
            }
            await database.close()
        }
    }

    @Test(arguments: [
        "PRAGMA wal_checkpoint(TRUNCATE)", "/* */ pragma WAL_CHECKPOINT", "PRAGMA wal_autocheckpoint = 1000",
        "PRAGMA journal_mode = DELETE", "-- a\nPRAGMA main.wal_checkpoint",
    ])
    func `Statements that checkpoint are refused`(statement: String) async throws {
        try await withDatabase { database async throws in
            let sql = SQL(stringLiteral: statement)
            #expect(await code { _ = try await database.query(sql) } == .invalidArgument)
            #expect(await code { try await database.execute(sql) } == .invalidArgument)
        }
    }

    @Test(arguments: [
        (3_040_001, false), (3_044_005, false), (3_044_006, true), (3_045_000, false), (3_050_006, false),
        (3_050_007, true), (3_051_000, false), (3_051_002, false), (3_051_003, true), (3_053_000, true),
    ])
    func `It is known which versions of SQLite have the fix`(number: Int, isFixed: Bool) {
        #expect(SQLiteVersion(number: number).hasFixedCheckpoints == isFixed)
    }

    @Test func `A database is not opened while a backup is restored, and not restored while it is open`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            let database = try SQLiteDatabase(path: path)
            #expect(await code { _ = try FileLock(besides: path, .exclusive) } == .unavailable)
            await database.close()
            do {
                let lock = try FileLock(besides: path, .exclusive)
                #expect(await code { _ = try SQLiteDatabase(path: path) } == .unavailable)
                _ = consume lock
            }
            await (try SQLiteDatabase(path: path)).close()
        }
    }

    @Test func `The last process leaves a file that is complete by itself`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            try await createTables(path)
            #expect(!FileManager.default.fileExists(atPath: path + "-wal"))
        }
    }
}
