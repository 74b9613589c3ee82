import ApusCore
import ApusData
import ApusSQLite
import ApusTesting
import FoundationEssentials
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(2))) struct SQLiteDatabaseTests {
    private struct Failure: Error {}

    private func count(_ database: any Database) async throws -> Int {
        try await database.query("SELECT COUNT(*) FROM notes").first?.get(0) ?? -1
    }

    private func insert(_ database: any Database, _ title: String, count: Int = 0) async throws {
        try await SQLRepository<Note>(database).insert(Note(title: title, count: count))
    }

    @Test func `Values of every kind come back as they went in, and none of them is ever part of the statement`()
        async throws
    {
        try await withDatabase { database async throws in
            let nasty = "'; DROP TABLE notes; -- \u{1}é😀\""
            let date = Date(timeIntervalSince1970: 1_795_424_400.123456)
            let row = try #require(
                try await database.query(
                    "SELECT \(nasty) AS a, \(42) AS b, \(1.5) AS c, \(true) AS d, \([0, 255] as [UInt8]) AS e, \(date) AS f, \(String?.none.sqlValue) AS g"
                ).first)
            #expect(try row.get("a") == nasty)
            #expect(try row.get("b") == 42)
            #expect(try row.get("c") == 1.5)
            #expect(try row.get("d") == true)
            #expect(try row.get("e") == [0, 255] as [UInt8])
            #expect(abs(try row.get("f", as: Date.self).timeIntervalSince(date)) < 1e-5)
            #expect(try row.get("g", as: String?.self) == nil)
            #expect(await code { _ = try row.get("a", as: Int.self) } == .internal)
            #expect(await code { _ = try row.get("missing", as: Int.self) } == .internal)
            #expect(await code { try await insert(database, "cut\u{0}off") } == .invalidArgument)
        }
    }

    @Test func `A transaction that throws leaves nothing behind`() async throws {
        try await withDatabase { database async throws in
            await #expect(throws: Failure.self) {
                try await database.transaction {
                    try await insert(database, "a")
                    #expect(try await count(database) == 1)
                    throw Failure()
                }
            }
            #expect(try await count(database) == 0)
        }
    }

    @Test func `A transaction inside another joins it; one that failed and was ignored lets nothing be committed`()
        async throws
    {
        try await withDatabase { database async throws in
            let unitOfWork = UnitOfWork(database)
            try await unitOfWork.perform {
                try await insert(database, "a")
                try await unitOfWork.perform { try await insert(database, "b") }
            }
            #expect(try await count(database) == 2)
            let code = await code {
                try await unitOfWork.perform {
                    try await insert(database, "c")
                    try? await unitOfWork.perform { throw Failure() }
                }
            }
            #expect(code == .aborted)
            #expect(try await count(database) == 2)
        }
    }

    @Test func `What waits for the commit happens after it, and not at all without one`() async throws {
        try await withDatabase { database async throws in
            let order = Mutex<[String]>([])
            try await database.transaction {
                UnitOfWork.afterCommit { order.withLock { $0.append("after") } }
                order.withLock { $0.append("inside") }
            }
            try? await database.transaction {
                UnitOfWork.afterCommit { order.withLock { $0.append("never") } }
                throw Failure()
            }
            UnitOfWork.afterCommit { order.withLock { $0.append("outside") } }
            #expect(order.withLock { $0 } == ["inside", "after", "outside"])
        }
    }

    @Test func `Others do not see a transaction before it is committed, and wait for it to write`() async throws {
        try await withDatabase { database async throws in
            let inside = Gate()
            let goOn = Gate()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await database.transaction {
                        try await insert(database, "a")
                        inside.open()
                        try await goOn.wait()
                    }
                }
                try await inside.wait()
                #expect(try await count(database) == 0)
                group.addTask { try await insert(database, "b") }
                goOn.open()
                try await group.waitForAll()
            }
            #expect(try await count(database) == 2)
        }
    }

    @Test func `Of writes that are committed together one that fails takes no other with it`() async throws {
        try await withDatabase { database async throws in
            let inside = Gate()
            let goOn = Gate()
            let failures = try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask {
                    try await database.transaction {
                        inside.open()
                        try await goOn.wait()
                    }
                    return 0
                }
                try await inside.wait()
                for number in 0..<200 {
                    group.addTask {
                        let code = await code {
                            try await insert(database, "n", count: number % 10 == 0 ? 1_000_000 : 1)
                        }
                        #expect(code == nil || code == .failedPrecondition)
                        return code == nil ? 0 : 1
                    }
                }
                goOn.open()
                return try await group.reduce(0, +)
            }
            #expect(failures == 20)
            #expect(try await count(database) == 180)
        }
    }

    @Test func `A write that is cancelled while it waits is never done`() async throws {
        try await withDatabase { database async throws in
            let inside = Gate()
            let goOn = Gate()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await database.transaction {
                        inside.open()
                        try await goOn.wait()
                    }
                }
                try await inside.wait()
                let write = Task { try await insert(database, "a") }
                write.cancel()
                await #expect(throws: CancellationError.self) { try await write.value }
                let transaction = Task { try await database.transaction { try await insert(database, "b") } }
                transaction.cancel()
                await #expect(throws: CancellationError.self) { try await transaction.value }
                goOn.open()
                try await group.waitForAll()
            }
            #expect(try await count(database) == 0)
        }
    }

    @Test func `A transaction that stands still too long is rolled back and lets the others go on`() async throws {
        var options = SQLiteOptions()
        options.idleTransactionLimit = .seconds(1)
        try await withDatabase(options: options) { database async throws in
            let after = Gate()
            let code = await code {
                try await database.transaction {
                    try await insert(database, "a")
                    let other = Task.detached {
                        try await insert(database, "b")
                        after.open()
                    }
                    try await after.wait()
                    _ = try await other.value
                    try await insert(database, "c")
                }
            }
            #expect(code == .aborted)
            #expect(try await database.query("SELECT title FROM notes").map { try $0.get(0) as String } == ["b"])
        }
    }

    /// Room for a few pages more than there are, as on a disk that is almost full.
    private func limitSize(_ database: any Database, extraPages: Int) async throws {
        let pages: Int = try await database.query("PRAGMA page_count").first?.get(0) ?? 0
        _ = try await database.query(SQL(stringLiteral: "PRAGMA max_page_count = \(pages + extraPages)"))
    }

    @Test func `On a full disk transactions and writes fail, nothing of them is stored, and nobody hangs`() async throws
    {
        try await withDatabase { database async throws in
            try await limitSize(database, extraPages: 4)
            let large = String(repeating: "x", count: 100_000)
            let codes = await withTaskGroup(of: StatusCode?.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        await code {
                            if number.isMultiple(of: 2) {
                                try await insert(database, large)
                            } else {
                                try await database.transaction {
                                    try await insert(database, "small")
                                    try? await insert(database, large)
                                    try await insert(database, "after")
                                }
                            }
                        }
                    }
                }
                return await group.reduce(into: [StatusCode?]()) { $0.append($1) }
            }
            #expect(codes.allSatisfy { $0 == .unavailable || $0 == .aborted })
            #expect(try await count(database) == 0)
            try await limitSize(database, extraPages: 100_000)
            try await insert(database, large)
            #expect(try await count(database) == 1)
        }
    }

    @Test func `When SQLite rolls back by itself, what follows in the body is refused and not stored alone`()
        async throws
    {
        try await withDatabase { database async throws in
            let id = Note.ID()
            try await SQLRepository<Note>(database).insert(Note(id: id, title: "first"))
            let code = await code {
                try await database.transaction {
                    try await insert(database, "a")
                    _ = try? await database.execute(
                        "INSERT OR ROLLBACK INTO notes (id, title, count) VALUES (\(id), 'again', 0)")
                    try await insert(database, "b")
                }
            }
            #expect(code == .aborted)
            #expect(try await database.query("SELECT title FROM notes").map { try $0.get(0) as String } == ["first"])
        }
    }

    @Test func `A table that another process changes is read as it is now`() async throws {
        let path = "/tmp/apus-test-\(Note.ID()).sqlite"
        defer { for suffix in ["", "-wal", "-shm"] { removeFile(path + suffix) } }
        let (first, second) = (try SQLiteDatabase(path: path), try SQLiteDatabase(path: path))
        try await Migrator(first, [CreateNotes.self]).run()
        try await insert(first, "a", count: 7)
        for _ in 0..<3 { #expect(try await first.query("SELECT * FROM notes").first?.get("count", as: Int.self) == 7) }
        try await second.execute("ALTER TABLE notes DROP COLUMN title")
        for _ in 0..<3 { #expect(try await first.query("SELECT * FROM notes").first?.get("count", as: Int.self) == 7) }
        try await second.execute("ALTER TABLE notes ADD COLUMN more TEXT DEFAULT 'x'")
        for _ in 0..<3 {
            #expect(try await first.query("SELECT * FROM notes").first?.get("more", as: String.self) == "x")
        }
        await first.close()
        await second.close()
    }

    @Test func `A date that cannot be stored is refused`() async throws {
        try await withDatabase { database async throws in
            let far = Date(timeIntervalSince1970: 1e15)
            #expect(await code { _ = try await database.query("SELECT \(far)") } == .invalidArgument)
            #expect(
                await code { _ = try await database.query("SELECT \(Date(timeIntervalSince1970: .nan))") }
                    == .invalidArgument)
        }
    }

    @Test func `A task that outlives the transaction it was started in is outside of it`() async throws {
        try await withDatabase { database async throws in
            let over = Gate()
            let after = Gate()
            let task = try await database.transaction {
                Task {
                    try await over.wait()
                    try await insert(database, "later")
                    UnitOfWork.afterCommit { after.open() }
                }
            }
            over.open()
            try await task.value
            try await after.wait()
            #expect(try await count(database) == 1)
        }
    }

    @Test func `Transactions of two databases one in the other keep apart`() async throws {
        try await withDatabase { first async throws in
            try await withDatabase { second async throws in
                try await first.transaction {
                    try await insert(first, "a")
                    try? await second.transaction {
                        try await insert(second, "b")
                        // This is the first one's transaction still.
                        try await insert(first, "c")
                        throw Failure()
                    }
                }
                #expect(try await count(first) == 2)
                #expect(try await count(second) == 0)
            }
        }
    }

    @Test func `A wrong statement is an internal error that shows no SQL`() async throws {
        try await withDatabase { database async throws in
            let error = await #expect(throws: AppError.self) { try await database.query("SELECT * FROM nowhere") }
            #expect(error?.code == .internal)
            #expect(error?.description.contains("nowhere") == false)
            #expect(error?.debugDescription.contains("nowhere") == true)
        }
    }

    @Test func `After closing, statements are refused and not lost in silence`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        await database.close()
        #expect(await code { try await database.execute("SELECT 1") } == .unavailable)
        #expect(await code { try await database.transaction {} } == .unavailable)
    }

    @Test(arguments: ["sqlite:", "sqlite:/proc/nowhere/x.sqlite"]) func `A URL that cannot be opened is refused`(
        url: String
    ) {
        #expect(throws: (any Error).self) { try SQLiteEngine().open(url) }
    }

    private final class Numbers: Sendable {
        private let numbers = Mutex<[Int]>([])
        var all: [Int] { numbers.withLock { $0 } }
        func append(_ number: Int) { numbers.withLock { $0.append(number) } }
    }

    @Test func `What follows a commit runs in the order of the commits`() async throws {
        try await withDatabase { database async throws in
            // The order in which transactions hold the writer is that of their commits.
            let (committed, followed) = (Numbers(), Numbers())
            @Sendable func commit(_ number: Int) async throws {
                try await database.transaction {
                    try await database.execute(
                        "INSERT INTO notes (id, title, count) VALUES (\(Identifier<Note>()), 'x', \(number))")
                    committed.append(number)
                    UnitOfWork.afterCommit { followed.append(number) }
                }
                #expect(followed.all.contains(number))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 { group.addTask { try await commit(number) } }
                try await group.waitForAll()
            }
            #expect(followed.all.count == 200)
            #expect(followed.all == committed.all)
        }
    }

    /// Runs a body while another connection holds the write lock of the file.
    private func withForeignLock(
        _ options: SQLiteOptions, _ body: (any Database) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            let (database, other) = (try SQLiteDatabase(path: path, options: options), try SQLiteDatabase(path: path))
            try await database.execute("CREATE TABLE notes (title TEXT)")
            let (begun, finish) = (Gate(), Gate())
            async let holding: Void = other.transaction {
                try await other.execute("INSERT INTO notes VALUES ('foreign')")
                begun.open()
                try await finish.wait()
            }
            try await begun.wait()
            try await body(database)
            finish.open()
            try await holding
            try await database.execute("INSERT INTO notes VALUES ('later')")
            await database.close()
            await other.close()
        }
    }

    @Test func `Behind a foreign lock writes end at their deadlines, all of them`() async throws {
        try await withForeignLock(SQLiteOptions()) { database in
            let start = ContinuousClock.now
            @Sendable func write(_ number: Int) async throws {
                _ = try await withDeadline(.after(.milliseconds(100))) {
                    if number % 2 == 0 {
                        try await database.execute("INSERT INTO notes VALUES ('late')")
                    } else {
                        try await database.transaction {
                            try await database.execute("INSERT INTO notes VALUES ('late')")
                        }
                    }
                }
            }
            let codes = await withTaskGroup(of: StatusCode?.self) { group in
                for number in 0..<10 { group.addTask { await code { try await write(number) } } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes.allSatisfy { $0 == .deadlineExceeded })
            // One after the other they would have waited five seconds each.
            #expect(start.duration(to: .now) < .seconds(5))
        }
    }

    @Test func `Writes that wait for a foreign lock wait together, and end as unavailable`() async throws {
        var options = SQLiteOptions()
        options.busyTimeout = .milliseconds(200)
        try await withForeignLock(options) { database in
            let start = ContinuousClock.now
            @Sendable func write() async throws {
                try await database.transaction { try await database.execute("INSERT INTO notes VALUES ('x')") }
            }
            let codes = await withTaskGroup(of: StatusCode?.self) { group in
                for _ in 0..<30 { group.addTask { await code { try await write() } } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes.allSatisfy { $0 == .unavailable })
            #expect(start.duration(to: .now) < .seconds(5))
        }
    }

    @Test func `A query past its deadline is interrupted, and the next one runs`() async throws {
        try await withFolder { folder in
            var options = SQLiteOptions()
            options.readers = 1
            let database = try SQLiteDatabase(path: folder.path + "/a.sqlite", options: options)
            let endless: SQL =
                "SELECT COUNT(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
            for _ in 0..<3 {
                let ended = await code {
                    try await withDeadline(.after(.milliseconds(50))) { _ = try await database.query(endless) }
                }
                #expect(ended == .deadlineExceeded)
                #expect(try await database.query("SELECT 1").first?.get(0) == 1)
            }
            await database.close()
        }
    }

    @Test func `What no transaction can contain runs by itself`() async throws {
        try await withDatabase { database async throws in
            @Sendable func run(_ number: Int) async throws {
                if number % 2 == 0 { try await database.execute("PRAGMA optimize") }
                try await database.execute(
                    "INSERT INTO notes (id, title, count) VALUES (\(Identifier<Note>()), 'x', \(number))")
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 { group.addTask { try await run(number) } }
                try await group.waitForAll()
            }
            #expect(try await count(database) == 20)
        }
    }

    @Test func `The quotes of an identifier are doubled, whatever follows them`() {
        let name = "a\"\u{301}; DROP TABLE notes; --"
        let sql: SQL = "SELECT \(identifier: name)"
        let text = sql.rendered { _ in "?" }.text
        #expect(text.utf8.elementsEqual("SELECT \"a\"\"\u{301}; DROP TABLE notes; --\"".utf8))
    }
}
