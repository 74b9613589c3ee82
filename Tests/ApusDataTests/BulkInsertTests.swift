import ApusCore
import ApusData
import ApusSQLite
import Testing

@Suite struct BulkInsertTests {
    private let columns = ["sku", "amount"]

    private func withPrices(_ body: (SQLiteDatabase) async throws -> Void) async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try await database.execute("CREATE TABLE prices (sku TEXT PRIMARY KEY, amount INTEGER NOT NULL)")
        try await body(database)
        await database.close()
    }

    private func rows(_ numbers: Range<Int>, amount: Int = 0) -> [[any SQLValueConvertible]] {
        numbers.map { ["\($0)", amount] }
    }

    @Test(arguments: [0, 1, 2, 1023, 1024, 1025, 40_000]) func `Any number of rows is inserted`(count: Int) async throws
    {
        try await withPrices { database async throws in
            #expect(try await database.insert(into: "prices", columns: columns, rows: rows(0..<count)) == count)
            #expect(try await database.queryValue("SELECT COUNT(*) FROM prices") == count)
        }
    }

    @Test func `A row whose key is taken fails all, is ignored, or updates the stored one`() async throws {
        try await withPrices { database async throws in
            try await database.insert(into: "prices", columns: columns, rows: rows(0..<10))
            let more = rows(5..<3000, amount: 7)
            #expect(
                await code { try await database.insert(into: "prices", columns: columns, rows: more) } == .alreadyExists
            )
            #expect(try await database.queryValue("SELECT COUNT(*) FROM prices") == 10)
            let added = try await database.insert(into: "prices", columns: columns, rows: more, onConflict: .isIgnored)
            #expect(added == 2990)
            #expect(try await database.queryValue("SELECT COUNT(*) FROM prices WHERE amount = 7") == 2990)
            try await database.insert(
                into: "prices", columns: columns, rows: more, onConflict: .updates(key: ["sku"], columns: ["amount"]))
            #expect(try await database.queryValue("SELECT COUNT(*) FROM prices WHERE amount = 7") == 2995)
            try await database.insert(
                into: "prices", columns: columns, rows: rows(0..<10, amount: 9),
                onConflict: .updates(key: ["sku"], columns: []))
            #expect(try await database.queryValue("SELECT COUNT(*) FROM prices WHERE amount = 9") == 0)
        }
    }

    @Test func `Rows of another length than the columns are rejected`() async throws {
        try await withPrices { database async throws in
            #expect(
                await code { try await database.insert(into: "prices", columns: columns, rows: [["a", 1], ["b"]]) }
                    == .invalidArgument)
            #expect(
                await code { try await database.insert(into: "prices", columns: [], rows: [[]]) } == .invalidArgument)
        }
    }

    @Test func `Statements of many rows stay within the limit of values`() async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        let names = (0..<200).map { "c\($0)" }
        let definition = SQL.joined(names.map { "\(identifier: $0) INTEGER" }, separator: ", ")
        try await database.execute("CREATE TABLE wide (\(definition))")
        let rows = (0..<1000).map { row in names.indices.map { row * $0 as any SQLValueConvertible } }
        #expect(try await database.insert(into: "wide", columns: names, rows: rows) == 1000)
        #expect(try await database.queryValue("SELECT SUM(c199) FROM wide") == 199 * 499_500)
        await database.close()
    }
}
