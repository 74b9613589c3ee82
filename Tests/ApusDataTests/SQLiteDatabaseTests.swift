import ApusCore
import ApusData
import ApusSQLite
import ApusTesting
import FoundationEssentials
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct SQLiteDatabaseTests {
    private struct Failure: Error {}

    private func count(_ database: any Database) async throws -> Int {
        try await database.query("SELECT COUNT(*) FROM notes").first?.get(0) ?? -1
    }

    private func insert(_ database: any Database, _ title: String, count: Int = 0) async throws {
        try await SQLRepository<Note>(database).insert(Note(title: title, count: count))
    }

    @Test func `Values of every type round-trip and are never part of the statement`()
        async throws
    {
        try await withDatabase { database async throws in
            let text = "'; DROP TABLE notes; -- \u{1}é😀\""
            let date = Date(timeIntervalSince1970: 1_795_424_400.123456)
            let row = try #require(
                try await database.query(
                    "SELECT \(text) AS a, \(42) AS b, \(1.5) AS c, \(true) AS d, \([0, 255] as [UInt8]) AS e, \(date) AS f, \(String?.none.sqlValue) AS g"
                ).first)
            #expect(try row.get("a") == text)
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

    @Test(arguments: [SQLiteOptions.Durability.power, .process])
    func `Writes are committed whatever failures they are to survive`(durability: SQLiteOptions.Durability) async throws
    {
        var options = SQLiteOptions()
        options.durability = durability
        try await withDatabase(options: options) { database async throws in
            try await insert(database, "a")
            #expect(try await count(database) == 1)
        }
    }

    @Test func `A transaction that throws is rolled back`() async throws {
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

    @Test func `A nested transaction joins the outer one, which cannot commit after an ignored failure`()
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

    @Test func `After-commit actions run after the commit, and not after a rollback`() async throws {
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

    @Test func `A transaction is invisible until it is committed, and other writes wait for it`() async throws {
        try await withDatabase { database async throws in
            let inside = Gate()
            let resume = Gate()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await database.transaction {
                        try await insert(database, "a")
                        inside.open()
                        try await resume.wait()
                    }
                }
                try await inside.wait()
                #expect(try await count(database) == 0)
                group.addTask { try await insert(database, "b") }
                resume.open()
                try await group.waitForAll()
            }
            #expect(try await count(database) == 2)
        }
    }

    @Test func `A failed write does not affect other writes of its group commit`() async throws {
        try await withDatabase { database async throws in
            let inside = Gate()
            let resume = Gate()
            let failures = try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask {
                    try await database.transaction {
                        inside.open()
                        try await resume.wait()
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
                resume.open()
                return try await group.reduce(0, +)
            }
            #expect(failures == 20)
            #expect(try await count(database) == 180)
        }
    }

    @Test func `A write that is cancelled while it waits never runs`() async throws {
        try await withDatabase { database async throws in
            let inside = Gate()
            let resume = Gate()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await database.transaction {
                        inside.open()
                        try await resume.wait()
                    }
                }
                try await inside.wait()
                let write = Task { try await insert(database, "a") }
                write.cancel()
                await #expect(throws: CancellationError.self) { try await write.value }
                let transaction = Task { try await database.transaction { try await insert(database, "b") } }
                transaction.cancel()
                await #expect(throws: CancellationError.self) { try await transaction.value }
                resume.open()
                try await group.waitForAll()
            }
            #expect(try await count(database) == 0)
        }
    }

    @Test func `A transaction that is idle for too long is rolled back, and waiting writes continue`() async throws {
        var options = SQLiteOptions()
        options.idleTransactionLimit = .seconds(1)
        try await withDatabase(options: options) { database async throws in
            let after = Gate()
            let code = await code {
                try await database.transaction {
                    _ = Task.detached {
                        defer { after.open() }
                        try await insert(database, "b")
                    }
                    // On a slow machine, the limit may pass even before this.
                    try await insert(database, "a")
                    try await after.wait()
                    try await insert(database, "c")
                }
            }
            #expect(code == .aborted)
            try await after.wait()
            #expect(try await database.query("SELECT title FROM notes").map { try $0.get(0) as String } == ["b"])
        }
    }

    /// Limits the database to a few additional pages, as on an almost full disk.
    private func limitSize(_ database: any Database, extraPages: Int) async throws {
        let pages: Int = try await database.query("PRAGMA page_count").first?.get(0) ?? 0
        _ = try await database.query(SQL(stringLiteral: "PRAGMA max_page_count = \(pages + extraPages)"))
    }

    @Test func `On a full disk, transactions and writes fail without storing anything or hanging`() async throws {
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

    @Test func `After SQLite rolls back a transaction by itself, its further statements are rejected`()
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

    @Test func `A table that another process altered is read with its current columns`() async throws {
        let path = "/tmp/apus-test-\(Note.ID()).sqlite"
        defer { removeDatabase(path) }
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

    @Test func `A date out of range is rejected`() async throws {
        try await withDatabase { database async throws in
            let far = Date(timeIntervalSince1970: 1e15)
            #expect(await code { _ = try await database.query("SELECT \(far)") } == .invalidArgument)
            #expect(
                await code { _ = try await database.query("SELECT \(Date(timeIntervalSince1970: .nan))") }
                    == .invalidArgument)
        }
    }

    @Test func `Nested transactions of two databases are independent`() async throws {
        try await withDatabase { first async throws in
            try await withDatabase { second async throws in
                try await first.transaction {
                    try await insert(first, "a")
                    try? await UnitOfWork.allowingOtherDatabases {
                        try await second.transaction {
                            try await insert(second, "b")
                            // Still runs in the transaction of the first database.
                            try await insert(first, "c")
                            throw Failure()
                        }
                    }
                }
                #expect(try await count(first) == 2)
                #expect(try await count(second) == 0)
            }
        }
    }

    @Test func `An invalid statement is an internal error that does not expose SQL`() async throws {
        try await withDatabase { database async throws in
            let error = await #expect(throws: AppError.self) { try await database.query("SELECT * FROM nowhere") }
            #expect(error?.code == .internal)
            #expect(error?.description.contains("nowhere") == false)
            #expect(error?.debugDescription.contains("nowhere") == true)
        }
    }

    @Test func `Statements on a closed database are rejected`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        await database.close()
        #expect(await code { try await database.execute("SELECT 1") } == .unavailable)
        #expect(await code { try await database.transaction {} } == .unavailable)
    }

    @Test(arguments: ["sqlite:", "sqlite:/proc/nowhere/x.sqlite"]) func `A URL that cannot be opened is rejected`(
        url: String
    ) {
        #expect(throws: (any Error).self) { try SQLiteEngine().open(url) }
    }

    private final class Numbers: Sendable {
        private let numbers = Mutex<[Int]>([])
        var all: [Int] { numbers.withLock { $0 } }
        func append(_ number: Int) { numbers.withLock { $0.append(number) } }
    }

    @Test func `After-commit actions run in commit order`() async throws {
        try await withDatabase { database async throws in
            // Transactions commit in the order in which they hold the writer.
            let (committed, actions) = (Numbers(), Numbers())
            @Sendable func commit(_ number: Int) async throws {
                try await database.transaction {
                    try await database.execute(
                        "INSERT INTO notes (id, title, count) VALUES (\(Identifier<Note>()), 'x', \(number))")
                    committed.append(number)
                    UnitOfWork.afterCommit { actions.append(number) }
                }
                #expect(actions.all.contains(number))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 { group.addTask { try await commit(number) } }
                try await group.waitForAll()
            }
            #expect(actions.all.count == 200)
            #expect(actions.all == committed.all)
        }
    }

    /// Runs a closure while another connection holds the write lock of the file.
    private func withLockHeldByOtherConnection(
        _ options: SQLiteOptions, _ body: (any Database) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            let path = folder.path + "/a.sqlite"
            var patient = SQLiteOptions()
            patient.idleTransactionLimit = .seconds(600)
            let database = try SQLiteDatabase(path: path, options: options)
            let other = try SQLiteDatabase(path: path, options: patient)
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

    @Test func `Writes that wait for the lock of another connection all end at their deadlines`() async throws {
        var options = SQLiteOptions()
        options.busyTimeout = .seconds(300)
        try await withLockHeldByOtherConnection(options) { database in
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
            // Sequentially, each would have waited for its busy timeout.
            #expect(start.duration(to: .now) < .seconds(150))
        }
    }

    @Test func `Writes that wait for the lock of another connection time out concurrently as unavailable`() async throws
    {
        var options = SQLiteOptions()
        options.busyTimeout = .seconds(1)
        try await withLockHeldByOtherConnection(options) { database in
            let start = ContinuousClock.now
            @Sendable func write() async throws {
                try await database.transaction { try await database.execute("INSERT INTO notes VALUES ('x')") }
            }
            let codes = await withTaskGroup(of: StatusCode?.self) { group in
                for _ in 0..<200 { group.addTask { await code { try await write() } } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes.allSatisfy { $0 == .unavailable })
            // Sequentially, they would have waited 200 seconds.
            #expect(start.duration(to: .now) < .seconds(100))
        }
    }

    @Test func `A query is interrupted at its deadline, and the next one runs`() async throws {
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

    @Test func `A statement that cannot run inside a transaction runs outside of one`() async throws {
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

    @Test func `Quotes in an identifier are doubled, even before a combining character`() {
        let name = "a\"\u{301}; DROP TABLE notes; --"
        let sql: SQL = "SELECT \(identifier: name)"
        let text = sql.template.text(for: .sqlite) { _ in "?" }
        #expect(text.utf8.elementsEqual("SELECT \"a\"\"\u{301}; DROP TABLE notes; --\"".utf8))
    }
}
