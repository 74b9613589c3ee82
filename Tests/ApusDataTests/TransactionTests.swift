import ApusCore
import ApusData
import ApusTesting
import FoundationEssentials
import Synchronization
import Testing

@testable import ApusSQLite

@Suite(.timeLimit(.minutes(5))) struct TransactionTests {
    private struct Failure: Error {}

    private struct Conflict: TransactionConflict {
        let isTransactionConflict: Bool
    }

    private final class Log: Sendable {
        private let entries = Mutex<[String]>([])
        var all: [String] { entries.withLock { $0 } }
        func append(_ entry: String) { entries.withLock { $0.append(entry) } }
    }

    private func insert(_ database: any Database, _ title: String) async throws {
        try await SQLRepository<Note>(database).insert(Note(title: title))
    }

    private func titles(_ database: any Database) async throws -> [String] {
        try await database.query("SELECT title FROM notes ORDER BY title", as: String.self)
    }

    @Test func `A cancelled change cannot be ignored, unless its savepoint is undone`() async throws {
        try await withDatabase { database async throws in
            func deleteCancelled() async {
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    try await database.execute("DELETE FROM notes")
                }
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            let ignored = await code {
                try await database.transaction {
                    try await insert(database, "a")
                    await deleteCancelled()
                }
            }
            #expect(ignored == .aborted)
            #expect(try await titles(database) == [])
            try await database.transaction {
                try await insert(database, "b")
                try? await database.transaction(.savepoint) {
                    await deleteCancelled()
                    throw Failure()
                }
            }
            #expect(try await titles(database) == ["b"])
        }
    }

    @Test func `A savepoint that fails is undone, and the transaction around it goes on`() async throws {
        try await withDatabase { database async throws in
            let log = Log()
            try await database.transaction {
                try await insert(database, "a")
                UnitOfWork.afterCommit { log.append("outer") }
                await #expect(throws: Failure.self) {
                    try await database.transaction(.savepoint) {
                        try await insert(database, "b")
                        UnitOfWork.afterCommit { log.append("undone") }
                        // Joins the savepoint, and is undone with it.
                        try? await database.transaction { throw Failure() }
                        throw Failure()
                    }
                }
                try await database.transaction(.savepoint) { try await insert(database, "c") }
            }
            #expect(try await titles(database) == ["a", "c"])
            #expect(log.all == ["outer"])
        }
    }

    @Test func `Savepoints nest`() async throws {
        try await withDatabase { database async throws in
            try await database.transaction {
                try await database.transaction(.savepoint) {
                    try await insert(database, "a")
                    try? await database.transaction(.savepoint) {
                        try await insert(database, "b")
                        throw Failure()
                    }
                    try await database.transaction(.savepoint) { try await insert(database, "c") }
                }
            }
            #expect(try await titles(database) == ["a", "c"])
        }
    }

    @Test func `A savepoint outside of a transaction is a transaction`() async throws {
        try await withDatabase { database async throws in
            try await database.transaction(.savepoint) { try await insert(database, "a") }
            #expect(try await titles(database) == ["a"])
        }
    }

    @Test func `A snapshot sees one moment, does not hold the writer, and cannot write`() async throws {
        try await withDatabase { database async throws in
            try await insert(database, "a")
            try await database.transaction(.snapshot) {
                #expect(try await titles(database) == ["a"])
                // A detached task is outside of the transaction.
                try await Task.detached { try await insert(database, "b") }.value
                #expect(try await titles(database) == ["a"])
                #expect(await code { try await insert(database, "c") } == .failedPrecondition)
                #expect(try await titles(database) == ["a"])
            }
            #expect(try await titles(database) == ["a", "b"])
        }
    }

    @Test func `A retryable transaction runs again after a conflict, and gives up after its retries`() async throws {
        try await withDatabase { database async throws in
            let log = Log()
            @Sendable func run(failures: Int, isConflict: Bool = true) async throws {
                try await database.transaction(.retryable) {
                    log.append("run")
                    try await insert(database, "\(failures)")
                    if log.all.count <= failures {
                        throw AppError(.aborted, "Again.", cause: Conflict(isTransactionConflict: isConflict))
                    }
                }
            }
            try await run(failures: 2)
            #expect(log.all.count == 3)
            #expect(try await titles(database) == ["2"])
            #expect(await code { try await run(failures: 100) } == .aborted)
            #expect(log.all.count == 3 + 6)
            #expect(await code { try await run(failures: 100, isConflict: false) } == .aborted)
            #expect(log.all.count == 3 + 6 + 1)
            #expect(try await titles(database) == ["2"])
        }
    }

    @Test func `Only the outermost transaction runs again`() async throws {
        try await withDatabase { database async throws in
            let log = Log()
            await #expect(throws: AppError.self) {
                try await database.transaction {
                    try await database.transaction(.retryable) {
                        log.append("run")
                        throw AppError(.aborted, "Again.", cause: Conflict(isTransactionConflict: true))
                    }
                }
            }
            #expect(log.all == ["run"])
        }
    }

    @Test func `A locked database is a conflict`() async throws {
        try await withFolder { folder in
            var options = SQLiteOptions()
            options.busyTimeout = .milliseconds(50)
            let path = folder.path + "/a.sqlite"
            let first = try SQLiteDatabase(path: path, options: options)
            let second = try SQLiteDatabase(path: path, options: options)
            try await first.execute("CREATE TABLE t (x)")
            try await first.transaction {
                let error = await #expect(throws: AppError.self) {
                    try await UnitOfWork.allowingOtherDatabases { try await second.execute("INSERT INTO t VALUES (1)") }
                }
                #expect(error?.code == .unavailable)
                #expect(error?.isTransactionConflict == true)
            }
            await first.close()
            await second.close()
        }
    }

    @Test func `An after-commit action of nested transactions waits for the outer one, unless it names its database`()
        async throws
    {
        try await withDatabase { outer async throws in
            try await withDatabase { inner async throws in
                let log = Log()
                try await UnitOfWork.allowingOtherDatabases {
                    try await outer.transaction {
                        try await inner.transaction {
                            UnitOfWork.afterCommit { log.append("all") }
                            UnitOfWork.afterCommit(of: inner) { log.append("inner") }
                            UnitOfWork.afterCommit(of: outer) { log.append("outer") }
                        }
                        #expect(log.all == ["inner"])
                    }
                    #expect(log.all.sorted() == ["all", "inner", "outer"])
                    try? await outer.transaction {
                        try await inner.transaction { UnitOfWork.afterCommit { log.append("never") } }
                        throw Failure()
                    }
                }
                #expect(log.all.count == 3)
            }
        }
    }

    @Test func `A change reads, decides and writes in one go, and parallel changes are not lost`() async throws {
        try await withDatabase { database async throws in
            let note = Note(title: "a")
            try await SQLRepository<Note>(database).insert(note)
            let results = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        try await database.change(reading: "SELECT count FROM notes\(SQL.rowLock)") { rows in
                            let count = try rows[0].get(0, as: Int.self) + 1
                            return Change(["UPDATE notes SET count = \(count)"], returning: count)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.sorted() == Array(1...200))
        }
    }

    @Test func `A change that fails changes nothing, and others of its group are committed`() async throws {
        try await withDatabase { database async throws in
            @Sendable func change(_ number: Int) async throws {
                try await database.change(reading: "SELECT 1") { _ in
                    let insert: SQL = "INSERT INTO notes VALUES (\(Note.ID()), \("\(number)"), \(number))"
                    let second: SQL =
                        number % 2 == 0 ? "UPDATE notes SET count = count" : "INSERT INTO nowhere VALUES (1)"
                    if number % 3 == 0 { throw Failure() }
                    return Change([insert, second], returning: ())
                }
            }
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<60 { group.addTask { try? await change(number) } }
            }
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 20)
            // The same inside a transaction that goes on.
            try await database.transaction {
                await #expect(throws: AppError.self) { try await change(1) }
                try await change(2)
            }
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 21)
        }
    }

    /// Takes minutes.
    private static let slow: SQL =
        """
        INSERT INTO notes SELECT hex(randomblob(16)), 'slow', 0
        FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT i FROM n WHERE i < 0)
        """

    @Test func `A write ends at its deadline, is undone, and the others of its group are committed`() async throws {
        try await withDatabase { database async throws in
            let (begun, resume) = (Gate(), Gate())
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Holds the writer until all are queued.
                group.addTask {
                    try await database.transaction {
                        begun.open()
                        try await resume.wait()
                    }
                }
                try await begun.wait()
                group.addTask {
                    let ended = await code {
                        try await withDeadline(.after(.seconds(1))) { _ = try await database.execute(Self.slow) }
                    }
                    #expect(ended == .deadlineExceeded)
                }
                for number in 0..<20 { group.addTask { try await insert(database, "\(number)") } }
                while database.statistics.waiting < 21 { await Task.yield() }
                resume.open()
                try await group.waitForAll()
            }
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 20)
        }
    }

    @Test func `A transaction whose statement ends at its deadline is rolled back`() async throws {
        try await withDatabase { database async throws in
            let ended = await code {
                try await withDeadline(.after(.milliseconds(100))) {
                    try await database.transaction {
                        try await insert(database, "a")
                        _ = try await database.execute(Self.slow)
                    }
                }
            }
            #expect(ended == .deadlineExceeded)
            #expect(try await titles(database) == [])
            try await insert(database, "b")
        }
    }

    @Test func `Closing waits for the reads that are queued`() async throws {
        try await withFolder { folder in
            var options = SQLiteOptions()
            options.readers = 1
            let database = try SQLiteDatabase(path: folder.path + "/a.sqlite", options: options)
            let sql: SQL =
                "SELECT COUNT(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT i FROM n)"
            let reads = (0..<20).map { _ in Task { try await database.queryValue(sql, as: Int.self) } }
            while database.statistics.waiting == 0 { await Task.yield() }
            await database.close()
            #expect(database.statistics.waiting == 0)
            for read in reads { #expect([100_000, nil].contains(try? await read.value)) }
        }
    }
}
