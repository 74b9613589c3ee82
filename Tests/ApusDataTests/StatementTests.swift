import ApusCore
import ApusData
import ApusTesting
import GRDBSQLite
import Synchronization
import Testing

@testable import ApusSQLite

/// Prepared statements of SQLite, and those that are refused.
@Suite struct StatementTests {
    /// The number of statements that are prepared on a connection.
    private func prepared(_ connection: SQLiteConnection) throws -> Int {
        try connection.use { open in
            var count = 0
            var statement = sqlite3_next_stmt(open.handle, nil)
            while statement != nil {
                count += 1
                statement = sqlite3_next_stmt(open.handle, statement)
            }
            return count
        }
    }

    private func connection() throws -> SQLiteConnection {
        try SQLiteConnection(path: ":memory:", options: SQLiteOptions(), for: .writing)
    }

    @Test func `A connection keeps a bounded number of statements, those that were used last`() throws {
        let connection = try connection()
        defer { connection.close() }
        for number in 0..<1000 {
            try connection.use { open in
                _ = try open.rows(of: SQL(stringLiteral: "SELECT \(number)"))
                _ = try open.rows(of: "SELECT 'often'")
            }
        }
        #expect((2...260).contains(try prepared(connection)))
        let cache = StatementCache(limit: 2)
        try connection.use { open in
            func statement(_ sql: SQL) throws -> AnyObject {
                try cache.statement(sql.template, on: open.database)
            }
            let first = try statement("SELECT \(1)")
            _ = try statement("SELECT 2")
            #expect(try statement("SELECT \(2)") === first)
            _ = try statement("SELECT 3")
            #expect(try statement("SELECT \(3)") === first)
            cache.removeAll()
        }
    }

    @Test func `The end of a transaction is not broken off when its task is cancelled`() throws {
        let connection = try connection()
        defer { connection.close() }
        let current = Mutex<ApusSQLite.Operation?>(nil)
        let operation = Operation(
            { open in
                current.withLock { $0 }?.cancel()
                for _ in 0..<2000 {
                    try open.control("SAVEPOINT a")
                    try open.control("RELEASE a")
                }
            }, completion: { _ in })
        current.withLock { $0 = operation }
        #expect(operation.begin())
        try connection.run(operation)
    }

    @Test func `Long statements do not fill the memory`() throws {
        let connection = try connection()
        defer { connection.close() }
        for number in 0..<20 {
            let text = "SELECT \(number), '\(String(repeating: "x", count: 200_000))'"
            try connection.use { _ = try $0.rows(of: SQL(stringLiteral: text)) }
        }
        #expect(try prepared(connection) <= 8)
    }

    @Test func `A statement that has failed is prepared anew, and a connection with statements can be closed`()
        async throws
    {
        try await withDatabase { database async throws in
            for _ in 0..<3 {
                #expect(
                    await code { try await database.execute("INSERT INTO notes VALUES ('a', 'b', 1000000)") }
                        == .failedPrecondition)
                try await database.execute("INSERT INTO notes VALUES (\(Note.ID()), 'b', 1)")
            }
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 3)
        }
    }

    /// Statements that end the transaction in which they run, or begin one that nobody ends.
    private static let transactionStatements = [
        "COMMIT", "  commit;", "END", "BEGIN", "BEGIN IMMEDIATE", "ROLLBACK", "ROLLBACK TRANSACTION", "-- c\nCOMMIT",
        "/* a */ /* b */;COMMIT", "/**/ROLLBACK--TO", "\u{B}COMMIT", "END--", "begin/**/exclusive",
    ]

    @Test(arguments: transactionStatements) func `A transaction is not begun or ended by a statement`(text: String)
        async throws
    {
        try await withDatabase { database async throws in
            let sql = SQL(stringLiteral: text)
            #expect(await code { try await database.execute(sql) } != nil)
            #expect(await code { _ = try await database.query(sql) } != nil)
            #expect(await code { try await database.transaction { _ = try await database.execute(sql) } } != nil)
            try await database.transaction {
                try await SQLRepository<Note>(database).insert(Note(title: "a"))
                #expect(await code { try await database.execute(sql) } != nil)
            }
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 1)
        }
    }

    @Test func `A refused statement does not repeat the other writes of its group`() async throws {
        try await withDatabase { database async throws in
            try await SQLRepository<Note>(database).insert(Note(title: "a"))
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        let sql: SQL = number % 5 == 0 ? "COMMIT" : "UPDATE notes SET count = count + 1"
                        _ = try? await database.execute(sql)
                    }
                }
            }
            #expect(try await database.queryValue("SELECT count FROM notes") == 80)
        }
    }

    @Test(arguments: [
        "PRAGMA wal_checkpoint", "/* c */ PRAGMA journal_mode = DELETE", "-- c\npragma Locking_Mode=exclusive",
        "EXPLAIN PRAGMA wal_checkpoint(TRUNCATE)",
    ]) func `Settings of the write-ahead log are refused behind comments too`(text: String) async throws {
        try await withDatabase { database async throws in
            #expect(await code { _ = try await database.query(SQL(stringLiteral: text)) } == .invalidArgument)
        }
    }

    @Test func `A strict table rejects a value of another type`() async throws {
        try await withDatabase { database async throws in
            #expect(await code { try await database.execute("INSERT INTO notes VALUES ('a', 'b', 'three')") } != nil)
            #expect(await code { try await database.execute("INSERT INTO notes VALUES ('a', x'00', 3)") } != nil)
            try await database.execute(
                """
                CREATE TABLE every (
                    a \(type: .bytes), b \(type: .timestamp), c \(type: .integer), d \(type: .real), e \(type: .text), \
                    f \(type: .boolean)
                )\(SQL.strict)
                """)
            try await database.execute(
                "INSERT INTO every VALUES (\([1] as [UInt8]), \(SystemClock().now), \(Int.max), \(1.0), \("x"), \(true))"
            )
            let types = try await database.query(
                "SELECT typeof(a), typeof(b), typeof(c), typeof(d), typeof(e), typeof(f) FROM every")
            #expect(
                try (0..<6).map { try types[0].get($0, as: String.self) }
                    == ["blob", "integer", "integer", "real", "text", "integer"])
        }
    }
}
