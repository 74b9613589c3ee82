import ApusCore
import ApusData
import ApusTesting
import Foundation
import Testing

@testable import ApusSQLite

@Suite(.timeLimit(.minutes(5))) struct BackupTests {
    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private func insert(_ database: SQLiteDatabase, _ numbers: Range<Int>) async throws {
        try await database.execute("CREATE TABLE IF NOT EXISTS numbers (x INTEGER PRIMARY KEY)")
        try await database.insert(into: "numbers", columns: ["x"], rows: numbers.map { [$0] })
    }

    private func count(_ path: String) async throws -> Int? {
        let database = try SQLiteDatabase(path: path)
        let count: Int? = try await database.queryValue("SELECT COUNT(*) FROM numbers")
        await database.close()
        return count
    }

    @Test func `A backup has what was committed, including what is only in the write-ahead log`() async throws {
        try await withFolder { folder in
            let (path, backup) = (folder.path + "/a.sqlite", folder.path + "/b.sqlite")
            let database = try SQLiteDatabase(path: path)
            try await insert(database, 0..<1000)
            try await database.backUp(to: backup)
            try await insert(database, 1000..<2000)
            #expect(!exists(backup + ".partial"))
            #expect(try await count(backup) == 1000)
            #expect(await code { try await database.backUp(to: backup) } == .alreadyExists)
            #expect(await code { try await database.backUp(to: "/proc/nowhere/b.sqlite") } == .unavailable)
            await database.close()

            try await SQLiteEngine().restore("sqlite:\(path)", from: backup)
            #expect(try await count(path) == 1000)
            #expect(!exists(path + "-restoring"))
        }
    }

    @Test func `A backup is complete while writes go on`() async throws {
        try await withFolder { folder in
            let database = try SQLiteDatabase(path: folder.path + "/a.sqlite")
            try await insert(database, 0..<5000)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for x in 5000..<5200 { try await database.execute("INSERT INTO numbers VALUES (\(x))") }
                }
                for number in 0..<3 {
                    let backup = folder.path + "/\(number).sqlite"
                    try await database.backUp(to: backup)
                    let copy = try SQLiteDatabase(path: backup)
                    #expect(try await copy.checkIntegrity() == [])
                    let rows: Int = try await copy.queryValue("SELECT COUNT(*) FROM numbers") ?? 0
                    let highest: Int = try await copy.queryValue("SELECT MAX(x) FROM numbers") ?? 0
                    #expect(rows >= 5000)
                    #expect(highest == rows - 1)
                    await copy.close()
                }
                try await group.waitForAll()
            }
            await database.close()
        }
    }

    @Test func `A database in memory can be backed up`() async throws {
        try await withFolder { folder in
            let database = try SQLiteDatabase(path: ":memory:")
            try await insert(database, 0..<10)
            try await database.backUp(to: folder.path + "/b.sqlite")
            #expect(try await count(folder.path + "/b.sqlite") == 10)
            #expect(try await database.checkIntegrity() == [])
            await database.close()
        }
    }

    @Test func `A restore is refused while the database is open`() async throws {
        try await withFolder { folder in
            let (path, backup) = (folder.path + "/a.sqlite", folder.path + "/b.sqlite")
            let database = try SQLiteDatabase(path: path)
            try await insert(database, 0..<10)
            try await database.backUp(to: backup)
            #expect(await code { try await SQLiteEngine().restore("sqlite:\(path)", from: backup) } == .unavailable)
            try await insert(database, 10..<20)
            await database.close()
            #expect(try await count(path) == 20)
        }
    }

    @Test func `The lock of a process that was killed does not hinder a restore, nor does its log survive it`()
        async throws
    {
        try await withFolder { folder in
            let (path, backup) = (folder.path + "/a.sqlite", folder.path + "/b.sqlite")
            let database = try SQLiteDatabase(path: path)
            try await insert(database, 0..<10)
            try await database.execute(
                "CREATE TABLE IF NOT EXISTS numbers2 (writer TEXT, number INTEGER, padding BLOB)")
            try await database.backUp(to: backup)
            try await database.execute("DROP TABLE numbers")
            try await database.execute(
                "CREATE TABLE numbers (writer TEXT, number INTEGER, padding BLOB, PRIMARY KEY (writer, number))")
            try await database.execute("CREATE TABLE counters (total INTEGER)")
            await database.close()
            let process = try WriterProcess(path, name: "a", count: 1_000_000)
            await process.waitForRows(50)
            #expect(await code { try await SQLiteEngine().restore("sqlite:\(path)", from: backup) } == .unavailable)
            process.kill()
            #expect(try await process.waitForExit() == -SIGKILL)
            #expect(exists(path + "-wal"))
            try await SQLiteEngine().restore("sqlite:\(path)", from: backup)
            #expect(try await count(path) == 10)
        }
    }

    @Test(arguments: ["", "no database at all", "SQLite format 3\0 and then rubbish"])
    func `A damaged or missing backup leaves the database as it is`(content: String) async throws {
        try await withFolder { folder in
            let (path, backup) = (folder.path + "/a.sqlite", folder.path + "/b.sqlite")
            let database = try SQLiteDatabase(path: path)
            try await insert(database, 0..<10)
            await database.close()
            #expect(await code { try await SQLiteEngine().restore("sqlite:\(path)", from: backup) } == .notFound)
            try Data(content.utf8).write(to: URL(filePath: backup))
            #expect(await code { try await SQLiteEngine().restore("sqlite:\(path)", from: backup) } == .dataLoss)
            #expect(try await count(path) == 10)
        }
    }

    @Test func `An integrity check finds broken references and broken pages`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            let database = try SQLiteDatabase(path: path)
            try await insert(database, 0..<10_000)
            try await database.execute("CREATE TABLE child (x INTEGER REFERENCES numbers (x))")
            #expect(try await database.checkIntegrity() == [])
            try await database.execute("PRAGMA foreign_keys = OFF")
            try await database.execute("INSERT INTO child VALUES (-1)")
            #expect(try await database.checkIntegrity().map { $0.contains("child") } == [true])
            try await database.execute("DELETE FROM child")
            await database.close()

            let file = try FileHandle(forWritingTo: URL(filePath: path))
            try file.seek(toOffset: 8 * 4096)
            try file.write(contentsOf: Data(repeating: 0x5A, count: 2 * 4096))
            try file.close()
            let damaged = try SQLiteDatabase(path: path)
            #expect(try await damaged.checkIntegrity() != [])
            await damaged.close()
        }
    }
}
