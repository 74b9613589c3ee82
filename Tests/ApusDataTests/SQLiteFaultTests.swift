import ApusCore
import ApusData
import ApusTesting
import Foundation
import Testing

@testable import ApusSQLite

/// What happens to the file under a database.
@Suite(.timeLimit(.minutes(5))) struct SQLiteFaultTests {
    private func write(_ database: SQLiteDatabase, _ title: String) async throws {
        try await SQLRepository<Note>(database).insert(Note(title: title))
    }

    private func makeDatabase(_ path: String, rows: Int = 0) async throws -> SQLiteDatabase {
        let database = try SQLiteDatabase(path: path)
        try await Migrator(database, [CreateNotes.self]).run()
        try await SQLRepository<Note>(database).insert(
            (0..<rows).map { Note(title: String(repeating: "\($0 % 10)", count: 500)) })
        return database
    }

    /// The number of files in a folder that this process has open.
    private func openFiles(in folder: URL) throws -> Int {
        let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return descriptors.filter { descriptor in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
            return target?.starts(with: folder.path + "/") ?? false
        }.count
    }

    private enum Loss: CaseIterable {
        case deleted, replaced, moved, logDeleted
    }

    @Test(arguments: Loss.allCases) private func `Nothing is acknowledged that goes to a file without a name`(
        loss: Loss
    )
        async throws
    {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            let database = try await makeDatabase(path)
            try await write(database, "before")
            switch loss {
            case .logDeleted: try FileManager.default.removeItem(atPath: path + "-wal")
            case .deleted: try FileManager.default.removeItem(atPath: path)
            case .moved: try FileManager.default.moveItem(atPath: path, toPath: path + "-moved")
            case .replaced:
                try Data().write(to: URL(filePath: path + "-new"))
                #expect(rename(path + "-new", path) == 0)
            }
            #expect(await code { try await write(database, "after") } == .unavailable)
            #expect(
                await code { try await database.transaction { try await write(database, "after") } } == .unavailable)
            #expect(
                await code { try await database.change(reading: "SELECT 1") { _ in Change([], returning: ()) } }
                    == .unavailable)
            #expect(await code { try await database.checkHealth() } == .unavailable)
            await database.close()
            #expect(try openFiles(in: folder) == 0)
        }
    }

    @Test func `A file that is none of SQLite is reported when it is opened`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            try Data(repeating: 0x41, count: 100_000).write(to: URL(filePath: path))
            let error = #expect(throws: AppError.self) { try SQLiteDatabase(path: path) }
            #expect(error?.code == .dataLoss)
            #expect(error?.message.contains(path) == true)
            #expect(try openFiles(in: folder) == 0)
            #expect(try Data(contentsOf: URL(filePath: path)).allSatisfy { $0 == 0x41 })
        }
    }

    @Test func `Damaged pages are reported when they are read or checked, and the rest can be used`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            let database = try await makeDatabase(path, rows: 2000)
            try await database.execute("CREATE TABLE sound (x INTEGER)")
            await database.close()
            let file = try FileHandle(forUpdating: URL(filePath: path))
            try file.seek(toOffset: 20 * 4096)
            try file.write(contentsOf: Data(repeating: 0xFF, count: 40 * 4096))
            try file.close()

            let damaged = try SQLiteDatabase(path: path)
            #expect(await code { _ = try await damaged.query("SELECT * FROM notes") } == .dataLoss)
            #expect(
                await code { try await damaged.stream("SELECT * FROM notes") { for try await _ in $0 {} } } == .dataLoss
            )
            #expect(
                await code {
                    try await damaged.transaction {
                        try await damaged.execute("INSERT INTO sound VALUES (1)")
                        try await damaged.execute("UPDATE notes SET count = count + 1")
                    }
                } == .dataLoss)
            #expect(try await !damaged.checkIntegrity().isEmpty)
            try await damaged.execute("INSERT INTO sound VALUES (2)")
            #expect(try await damaged.query("SELECT x FROM sound", as: Int.self) == [2])
            await damaged.close()
            #expect(try openFiles(in: folder) == 0)
        }
    }

    /// Opens a database as a user without rights, also if the tests run as root. The rights are those of the thread.
    private func openWithoutRights(_ path: String) throws -> SQLiteDatabase {
        guard geteuid() == 0 else { return try SQLiteDatabase(path: path) }
        typealias SetUser = @convention(c) (uid_t) -> CInt
        let symbol = try #require(dlsym(nil, "setfsuid"))
        let setUser = unsafeBitCast(symbol, to: SetUser.self)
        _ = setUser(65_534)
        defer { _ = setUser(0) }
        return try SQLiteDatabase(path: path)
    }

    @Test func `A folder or a file that cannot be written is reported when the database is opened`() async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            await (try makeDatabase(path)).close()
            chmod(folder.path, 0o555)
            defer { chmod(folder.path, 0o755) }
            for suffix in ["", "-apus-lock"] { chmod(path + suffix, 0o444) }
            let errors = [path, folder.path + "/new.sqlite"].map { path in
                #expect(throws: AppError.self) { try openWithoutRights(path) }
            }
            #expect(errors.map { $0?.code } == [.unavailable, .unavailable])
            // The lock file can be written, the database cannot.
            chmod(path + "-apus-lock", 0o666)
            let error = #expect(throws: AppError.self) { try openWithoutRights(path) }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains(path) == true)
            #expect(try openFiles(in: folder) == 0)
        }
    }

    @Test func `A value that is too long for SQLite is refused, and the connection goes on`() async throws {
        try await withDatabase { database async throws in
            let huge: SQL = "SELECT length(zeroblob(2000000000))"
            #expect(await code { _ = try await database.query(huge) } == .invalidArgument)
            #expect(try await database.queryValue("SELECT 1") == 1)
        }
    }

    @Test func `A rollback that could not run does not stop the writer`() async throws {
        try await withDatabase { database async throws in
            try await write(database, "a")
            let session = TransactionSession()
            // A transaction that somebody has left open on the writer's connection.
            try await session.perform(submit: { database.writer.submit(.transaction(session)) }) {
                try await session.run { try $0.control("SAVEPOINT left") }
            }
            await session.rollback()
            try await write(database, "b")
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 2)
        }
    }
}
