import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import FoundationEssentials
import Testing

/// What every engine does with hostile text and with values at their extremes.
@Suite(.timeLimit(.minutes(5))) struct SQLContractTests {
    enum Engine: CaseIterable {
        case sqlite, postgres

        static let allCases: [Engine] = [.sqlite] + (TestPostgres.isAvailable ? [.postgres] : [])
    }

    func with(_ engine: Engine, _ body: (any Database) async throws -> Void) async throws {
        let database: any Database
        switch engine {
        case .sqlite: database = try SQLiteDatabase(path: ":memory:")
        case .postgres:
            let server = try await TestPostgres.shared()
            var configuration = try PostgresConfiguration(url: server.url(database: try await server.createDatabase()))
            // Many tests run at once on few processors.
            configuration.connectTimeout = .seconds(60)
            database = try PostgresDatabase(configuration)
        }
        do {
            try await database.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT NOT NULL, count INTEGER)")
            try await body(database)
        } catch {
            await database.close()
            throw error
        }
        await database.close()
    }

    // MARK: Injection

    /// Texts that would change a statement if they were part of it.
    private static let hostile = [
        "'", "''", "'''", "\"", "\"\"", "`", "\\", "\\'", "\\\\", "' OR '1'='1", "' OR 1=1 --", "') OR ('1'='1",
        "'; DROP TABLE notes; --", "\"; DROP TABLE notes; --", "x'; DELETE FROM notes WHERE '1'='1",
        "' UNION SELECT title FROM notes --", "1; SELECT pg_sleep(10)", "' || (SELECT title FROM notes) || '",
        "$$", "$tag$; DROP TABLE notes; $tag$", "E'\\''", "U&'\\0027'", "/*", "*/", "/* */ --", "--", "#", ";", ";;",
        "?", "?1", "$1", "$2", ":a", "@a", "%(a)s", "\\(1)", "${a}", "{a}", "{\"a\",b}", "{}", "NULL", "null", "{NULL}",
        "\\x41", "\\u0027", "\u{2019}", "\u{FF07}", "\u{02BC}", "ʼ; DROP TABLE notes; --", "\u{1}", "\u{7F}", "\u{85}",
        "\u{A0}", "\u{FEFF}", "\u{200B}", "\u{202E}", "\u{2028}", "\u{FFFD}", "\u{FFFE}", "\u{10FFFF}", "e\u{301}",
        "👩‍👩‍👧", "\r", "\n", "\r\n", "\t", " ", "%", "_", "[a]", "^a$", ",", "(", ")", "()", ",)",
        "0x27", "char(39)", "CAST(1 AS TEXT)", "1e309", "true", "default", "current_user",
    ]

    @Test(arguments: Engine.allCases)
    func `Hostile text stays text in every form of interpolation`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            try await database.execute("INSERT INTO notes VALUES ('safe', 'safe', 1)")
            for text in Self.hostile { try await check(text, database) }
            #expect(try await database.query("SELECT id FROM notes", as: String.self) == ["safe"])
        }
    }

    private func check(_ text: String, _ database: any Database) async throws {
        func titles(_ sql: SQL) async throws -> [String] { try await database.query(sql, as: String.self) }
        let comment = Comment(rawValue: "\(text.debugDescription)")
        // Values, in a statement and in rows that are inserted together.
        try await database.execute("INSERT INTO notes VALUES (\(text), \(text), \(1))")
        #expect(try await titles("SELECT title FROM notes WHERE id = \(text)") == [text], comment)
        #expect(try await database.execute("UPDATE notes SET title = \(text) WHERE id = \(text)") == 1, comment)
        let rows: [[any SQLValueConvertible]] = [[text, text, 2], ["other" + text, text, 3]]
        let columns = ["id", "title", "count"]
        let changed = try await database.insert(
            into: "notes", columns: columns, rows: rows, onConflict: .updates(key: ["id"], columns: ["title", "count"]))
        #expect(changed == 2, comment)
        // Lists.
        let list = [text, "other" + text]
        #expect(try await titles("SELECT title FROM notes WHERE id IN \(list: list)") == [text, text], comment)
        #expect(try await titles("SELECT title FROM notes WHERE id NOT IN \(list: list)") == ["safe"], comment)
        // A value inside another statement, and joined ones.
        let condition: SQL = "id = \(text)"
        let conditions = SQL.joined([condition, "title = \(text)"], separator: " AND ")
        #expect(try await titles("SELECT title FROM notes WHERE \(conditions)") == [text], comment)
        // A pattern is a value too: its wildcards are the author's business, its quotes nobody's.
        let pattern = text.replacing("\\", with: "\\\\").replacing("%", with: "\\%").replacing("_", with: "\\_")
        #expect(try await titles("SELECT title FROM notes WHERE id LIKE \(pattern) ESCAPE '\\'") == [text], comment)
        // Names.
        try await database.execute("CREATE TABLE \(identifier: "t" + text) (\(identifier: text) TEXT)")
        try await database.insert(into: "t" + text, columns: [text], rows: [[text]])
        let row = try await database.query("SELECT \(identifier: text) FROM \(identifier: "t" + text)").first
        #expect(try row?.get(text, as: String.self) == text, comment)
        try await database.execute("DROP TABLE \(identifier: "t" + text)")
        #expect(try await database.execute("DELETE FROM notes WHERE id IN \(list: list)") == 2, comment)
        #expect(try await database.queryValue("SELECT count(*) FROM notes", as: Int.self) == 1, comment)
    }

    @Test(arguments: Engine.allCases)
    func `U+0000 is refused in every form of interpolation, and changes nothing`(engine: Engine) async throws {
        let text = "a\0'; DROP TABLE notes; --"
        try await with(engine) { database async throws in
            let statements: [SQL] = [
                "INSERT INTO notes VALUES (\(text), 'a', 1)", "SELECT title FROM notes WHERE id IN \(list: [text])",
                "SELECT title FROM notes WHERE id LIKE \(text)", "SELECT \(identifier: text) FROM notes",
                "SELECT title FROM \(identifier: text)", "SELECT title FROM notes WHERE \("id = \(text)" as SQL)",
            ]
            for statement in statements {
                #expect(await code { _ = try await database.query(statement) } == .invalidArgument)
                let inTransaction = await code {
                    try await database.transaction { _ = try await database.query(statement) }
                }
                #expect(inTransaction == .invalidArgument)
            }
            let inserted = await code {
                try await database.insert(into: "notes", columns: ["id", "title"], rows: [["a", text], ["b", "b"]])
            }
            #expect(inserted == .invalidArgument)
            // The text of a statement itself.
            #expect(await code { _ = try await database.query(SQL(stringLiteral: "SELECT 1\0; SELECT 2")) } != nil)
            #expect(try await database.queryValue("SELECT count(*) FROM notes", as: Int.self) == 0)
        }
    }

    @Test(arguments: Engine.allCases)
    func `A statement is only one statement`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            #expect(await code { _ = try await database.query("SELECT 1; DROP TABLE notes") } != nil)
            #expect(try await database.queryValue("SELECT count(*) FROM notes", as: Int.self) == 0)
        }
    }

    // MARK: Values

    private func roundTrip<Value: SQLValueConvertible & Equatable>(
        _ type: ColumnType, _ values: [Value], _ database: any Database
    ) async throws {
        let table: SQL = "\(identifier: "extremes_\(type)")"
        try await database.execute("CREATE TABLE \(table) (position INTEGER, value \(type: type))")
        // The first execution is not the same as later ones on every engine.
        for _ in 0..<2 {
            for (position, value) in values.enumerated() {
                try await database.execute("INSERT INTO \(table) VALUES (\(position), \(value))")
                let read = try await database.queryValue(
                    "SELECT value FROM \(table) WHERE position = \(position)", as: Value.self)
                #expect(read == value)
                try await database.execute("DELETE FROM \(table) WHERE position = \(position)")
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func `Numbers and dates keep their extremes`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            try await roundTrip(.integer, [Int64.min, -1 << 53 - 1, -1, 0, 1, 1 << 53 + 1, Int64.max], database)
            let tiny = Double.leastNonzeroMagnitude
            let reals = [
                -Double.greatestFiniteMagnitude, -tiny, -0.0, 0, tiny, Double.leastNormalMagnitude, 0.1, 1.0 / 3,
                9_007_199_254_740_992, Double.greatestFiniteMagnitude, .infinity, -.infinity,
            ]
            try await roundTrip(.real, reals, database)
            let seconds = [
                -62_135_596_800, -62_135_596_799.999999, -1, -0.000001, 0, 0.000001, 1_767_225_600.123456,
                253_402_300_799.999,
            ]
            try await roundTrip(.timestamp, seconds.map { Date(microseconds: Int64(($0 * 1e6).rounded())) }, database)
            try await roundTrip(.boolean, [true, false], database)
        }
    }

    @Test(arguments: Engine.allCases)
    func `NaN is never read as a number`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            try await database.execute("CREATE TABLE extremes (value \(type: .real))")
            for _ in 0..<2 { try await database.execute("INSERT INTO extremes VALUES (\(Double.nan))") }
            for value in try await database.query("SELECT value FROM extremes", as: Double?.self) {
                // SQLite has no NaN.
                #expect(engine == .sqlite ? value == nil : value?.isNaN == true)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func `Text keeps every character of Unicode, and bytes any number`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            var all = String.UnicodeScalarView()
            for value in UInt32(1)...0x10FFFF { if let scalar = Unicode.Scalar(value) { all.append(scalar) } }
            let texts = ["", String(all), String(repeating: "é", count: 1 << 20)]
            try await database.execute("CREATE TABLE extremes (value TEXT, content \(type: .bytes))")
            for text in texts {
                try await database.execute("INSERT INTO extremes (value) VALUES (\(text))")
                let read = try await database.queryValue("SELECT value FROM extremes", as: String.self)
                #expect(read?.utf8.elementsEqual(text.utf8) == true)
                try await database.execute("DELETE FROM extremes")
            }
            let bytes = [UInt8](unsafeUninitializedCapacity: 10 << 20) { buffer, count in
                for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index &* 31) }
                count = buffer.count
            }
            for content in [[], [0], bytes] {
                try await database.execute("INSERT INTO extremes (content) VALUES (\(content))")
                #expect(try await database.queryValue("SELECT content FROM extremes", as: [UInt8].self) == content)
                try await database.execute("DELETE FROM extremes")
            }
        }
    }
}

extension Date {
    /// Creates a date that both engines can store exactly.
    fileprivate init(microseconds: Int64) {
        let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        self.init(timeIntervalSince1970: Double(seconds) + Double(rest) / 1e6)
    }
}
