import ApusCore
import ApusData
import FoundationEssentials
import Testing

/// Loading many rows at once.
extension SQLContractTests {
    private static let columns = ["id", "title", "count"]

    @Test(arguments: Engine.allCases, [0, 1, 99, 100, 5000])
    func `Any number of rows is loaded`(engine: Engine, count: Int) async throws {
        try await with(engine) { database async throws in
            let rows = (0..<count).map { ["\($0)", "title", $0] as [any SQLValueConvertible] }
            #expect(try await database.load(into: "notes", columns: Self.columns, rows: rows) == count)
            #expect(try await database.query("SELECT count(*) FROM notes", as: Int.self) == [count])
        }
    }

    @Test(arguments: Engine.allCases)
    func `Loaded values are read as they were written`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            try await database.execute(
                """
                CREATE TABLE kinds (
                    id \(type: .integer) PRIMARY KEY, text TEXT, real \(type: .real), bytes \(type: .bytes), time \(type: .timestamp),
                    flag \(type: .boolean)
                )
                """)
            let texts = Self.loadedTexts
            let dates = [0, 0.25, -1.000001, 1e9 + 0.999999, -6e10, 2e11].map { Date(timeIntervalSince1970: $0) }
            let reals = [0, -0.1, 1e-300, 1.7976931348623157e308, 123456789.123456789]
            let rows = (0..<200).map { number -> [any SQLValueConvertible] in
                guard number > 0 else {
                    return [0, SQLValue.null, SQLValue.null, SQLValue.null, SQLValue.null, SQLValue.null]
                }
                return [
                    number, texts[number % texts.count], reals[number % reals.count], [UInt8](0...UInt8(number)),
                    dates[number % dates.count], number.isMultiple(of: 2),
                ]
            }
            try await database.load(
                into: "kinds", columns: ["id", "text", "real", "bytes", "time", "flag"], rows: rows)
            let stored = try await database.query("SELECT id, text, real, bytes, time, flag FROM kinds ORDER BY id")
            #expect(stored.count == 200)
            #expect(try stored[0].get(1) as String? == nil)
            for number in 1..<200 {
                let row = stored[number]
                #expect(try Array((row.get(1) as String).utf8) == Array(texts[number % texts.count].utf8))
                #expect(try row.get(2) as Double == reals[number % reals.count])
                #expect(try row.get(3) as [UInt8] == [UInt8](0...UInt8(number)))
                let distance = try (row.get(4) as Date).timeIntervalSince(dates[number % dates.count])
                #expect(abs(distance) < 0.00001)
                #expect(try row.get(5) as Bool == number.isMultiple(of: 2))
            }
        }
    }

    private static let loadedTexts = [
        "", "\\N", "\\.", "\\", "\\\\", "a\tb", "a\nb", "a\r\nb", "\r", "\u{8}\u{B}\u{C}\u{7F}", "NULL", "\"q\"", "'",
        "e\u{301}",
        "👩‍👩‍👧", "\u{2028}", "\\t", "\\x41", "$1",
    ]

    @Test(arguments: Engine.allCases)
    func `Nothing is loaded if a row is wrong`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            func failure(_ last: [any SQLValueConvertible]) async -> StatusCode? {
                let rows = (0..<300).map { ["\($0)", "title", $0] as [any SQLValueConvertible] } + [last]
                return await code { try await database.load(into: "notes", columns: Self.columns, rows: rows) }
            }
            #expect(await failure(["0", "taken", 1]) == .alreadyExists)
            #expect(await failure(["x", SQLValue.null, 1]) == .failedPrecondition)
            #expect(await failure(["x", "short"]) == .invalidArgument)
            if database.dialect == .postgres { #expect(await failure(["x", "a\0b", 1]) == .invalidArgument) }
            #expect(try await database.query("SELECT count(*) FROM notes", as: Int.self) == [0])
            // The connection is fit for use.
            #expect(await failure(["x", "title", 1]) == nil)
        }
    }

    @Test(arguments: Engine.allCases)
    func `Rows that are loaded in a transaction are part of it`(engine: Engine) async throws {
        try await with(engine) { database async throws in
            let rows = (0..<300).map { ["\($0)", "title", $0] as [any SQLValueConvertible] }
            try? await database.transaction {
                try await database.load(into: "notes", columns: Self.columns, rows: rows)
                throw CancellationError()
            }
            #expect(try await database.query("SELECT count(*) FROM notes", as: Int.self) == [0])
            try await database.transaction {
                try await database.execute("INSERT INTO notes VALUES ('first', 'title', 1)")
                try await database.load(into: "notes", columns: Self.columns, rows: rows)
                #expect(try await database.query("SELECT count(*) FROM notes", as: Int.self) == [301])
            }
            #expect(try await database.query("SELECT count(*) FROM notes", as: Int.self) == [301])
        }
    }
}
