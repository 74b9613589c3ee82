import ApusCore
import ApusData
import ApusSQLite
import FoundationEssentials
import Testing

@Suite struct SQLTests {
    private func text(_ sql: SQL, _ dialect: SQLDialect) throws -> String { try sql.rendered(for: dialect).text }

    @Test func `Values are bound with the placeholders of the dialect`() throws {
        let sql: SQL = "SELECT \(1), \("a") FROM \(identifier: "t")"
        #expect(try text(sql, .sqlite) == "SELECT ?, ? FROM \"t\"")
        #expect(try text(sql, .postgres) == "SELECT $1, $2 FROM \"t\"")
        #expect(try sql.rendered(for: .postgres).values == [.integer(1), .text("a")])
    }

    @Test func `A list is one array on Postgres and a few lengths of placeholders on SQLite`() throws {
        let sql: SQL =
            "SELECT * FROM t WHERE id IN \(list: [1, 2, 3]) AND name NOT  IN \(list: ["a\"b\\"]) AND x = \(4)"
        let sqlite = try sql.rendered(for: .sqlite)
        #expect(sqlite.text == "SELECT * FROM t WHERE id IN (?, ?, ?, ?) AND name NOT  IN (?) AND x = ?")
        #expect(sqlite.values == [1, 2, 3, 3].map { .integer($0) } + [.text("a\"b\\"), .integer(4)])
        let postgres = try sql.rendered(for: .postgres)
        #expect(postgres.text == "SELECT * FROM t WHERE id = ANY($1) AND name <> ALL($2) AND x = $3")
        #expect(postgres.values == [.text("{1,2,3}"), .text("{\"a\\\"b\\\\\"}"), .integer(4)])
    }

    @Test func `A list of dates takes one parameter each on Postgres, and an empty list none`() throws {
        let day = Date(timeIntervalSince1970: 0)
        #expect(
            try text("SELECT 1 WHERE d IN \(list: [day, day, day])", .postgres)
                == "SELECT 1 WHERE d IN ($1, $2, $3, $4)")
        #expect(try text("SELECT 1 WHERE d IN \(list: [Date]())", .postgres) == "SELECT 1 WHERE d = ANY($1)")
        #expect(try text("SELECT 1 WHERE d IN \(list: [Date]())", .sqlite) == "SELECT 1 WHERE d IN ()")
    }

    @Test(arguments: [1, 2, 3, 64, 65, 16_383, 16_384, 16_385, 32_766]) func `A list of any length finds its values`(
        count: Int
    ) async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try await database.execute("CREATE TABLE t (x INTEGER)")
        try await database.execute("INSERT INTO t VALUES (0), (\(count - 1)), (\(count))")
        let numbers = Array(0..<count)
        let found = try await database.query(
            "SELECT DISTINCT x FROM t WHERE x IN \(list: numbers) ORDER BY x", as: Int.self)
        #expect(found == (count == 1 ? [0] : [0, count - 1]))
        #expect(try await database.query("SELECT x FROM t WHERE x NOT IN \(list: numbers)", as: Int.self) == [count])
        await database.close()
    }

    @Test func `Nothing is in an empty list, and everything is not in it`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        #expect(try await database.queryValue("SELECT 1 IN \(list: [Int]())") == 0)
        #expect(try await database.queryValue("SELECT 1 NOT IN \(list: [Int]())") == 1)
        await database.close()
    }

    @Test func `Too many values are rejected before they are sent`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        let numbers = Array(0..<32_767)
        #expect(await code { _ = try await database.query("SELECT 1 IN \(list: numbers)") } == .invalidArgument)
        await database.close()
    }

    @Test func `A name that contains U+0000 is rejected`() async throws {
        let sql: SQL = "SELECT * FROM \(identifier: "a\0; DROP TABLE notes")"
        #expect(throws: AppError.self) { try sql.rendered(for: .sqlite) }
        try await withDatabase { database async throws in
            #expect(await code { _ = try await database.query(sql) } == .invalidArgument)
        }
    }

    @Test func `Column types have the name of the dialect`() throws {
        let sql: SQL =
            "a \(type: .bytes), b \(type: .timestamp), c \(type: .integer), d \(type: .real), e \(type: .text), f \(type: .boolean)"
        #expect(try text(sql, .sqlite) == "a BLOB, b INTEGER, c INTEGER, d REAL, e TEXT, f INTEGER")
        #expect(
            try text(sql, .postgres) == "a BYTEA, b TIMESTAMPTZ, c BIGINT, d DOUBLE PRECISION, e TEXT, f INTEGER")
    }

    /// Texts that would change a statement if they were part of it.
    private static let hostile = [
        "'", "''", "\"", "\\", "\\'", "' OR '1'='1", "'; DROP TABLE notes; --", "\"; DROP TABLE notes; --", "/*", "*/",
        "--",
        "?", "$1", ":a", "@a", "{a}", "{\"a\",b}", "\\x41", "\u{1}", "\u{FEFF}", "\u{2028}", "e\u{301}", "👩‍👩‍👧", "\r\n",
        "%", "_", "NULL", "\u{FFFD}", String(repeating: "'", count: 10_000),
    ]

    @Test(arguments: hostile) func `Hostile text stays text in every form of interpolation`(text: String) async throws {
        try await withDatabase { database async throws in
            let notes = SQLRepository<Note>(database)
            let note = Note(title: text, count: 1)
            try await notes.insert(note)
            #expect(try await notes.all(where: "title = \(text)") == [note])
            #expect(try await notes.all(where: "title IN \(list: [text, "other"])") == [note])
            #expect(try await database.query("SELECT \(text) AS \(identifier: text)").first?.get(text) == text)
            #expect(try await database.queryValue("SELECT \(SQL("\(text)"))") == text)
            #expect(try await database.queryValue("SELECT COUNT(*) FROM notes") == 1)
        }
    }

    @Test func `Values keep their extremes`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        func same<Value: SQLValueConvertible & Equatable>(_ values: Value...) async throws {
            for value in values { #expect(try await database.queryValue("SELECT \(value)") == value) }
        }
        try await same(Int64.min, -1, 0, Int64.max)
        try await same(-Double.greatestFiniteMagnitude, .leastNonzeroMagnitude, .infinity, -.infinity, 0.1)
        try await same("", "\u{10FFFF}", String(repeating: "é", count: 1_000_000))
        try await same([UInt8](), [0], [UInt8](repeating: 255, count: 5_000_000))
        try await same(Date(timeIntervalSince1970: -62_135_596_800), Date(timeIntervalSince1970: 253_402_300_799))
        // SQLite has no NaN.
        #expect(try await database.queryValue("SELECT \(Double.nan)", as: Double?.self) == .some(nil))
        await database.close()
    }
}
