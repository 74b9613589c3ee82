import ApusCore
import ApusData
import ApusSQLite
import FoundationEssentials
import Testing

@Suite struct RowDecodingTests {
    private struct Person: RowDecodable, Decodable, Equatable {
        enum Kind: String, Codable { case child, adult }

        let name: String
        let age: Int8
        let kind: Kind
        let born: Date
        let photo: [UInt8]
        let note: String?

        init(row: Row) throws {
            name = try row.get("name")
            age = Int8(clamping: try row.get("age", as: Int.self))
            kind = Kind(rawValue: try row.get("kind")) ?? .adult
            born = try row.get("born")
            photo = try row.get("photo")
            note = try row.get("note")
        }
    }

    private let born = Date(timeIntervalSince1970: 1_000_000)

    private func withPeople(_ body: (SQLiteDatabase, SQL) async throws -> Void) async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        let photo: [UInt8] = [1, 2]
        try await body(
            database,
            "SELECT 'Ada' AS name, 36 AS age, 'adult' AS kind, \(born) AS born, \(photo) AS photo, NULL AS note")
        await database.close()
    }

    @Test func `A row decodes in the same way by its initialiser and by Codable`() async throws {
        try await withPeople { database, people in
            let decoded = try await database.query(people, decoding: Person.self)
            #expect(decoded == (try await database.query(people, as: Person.self)))
            #expect(decoded.first?.born == born)
            #expect(decoded.first?.photo == [1, 2])
            #expect(decoded.first?.note == nil)
        }
    }

    @Test func `A row decodes to a tuple by position`() async throws {
        try await withPeople { database, people in
            let rows = try await database.query(people, as: String.self, Int?.self)
            #expect(rows.count == 1)
            #expect(rows.first?.0 == "Ada")
            #expect(rows.first?.1 == 36)
            #expect(await code { _ = try await database.query(people, as: Int.self, Int.self) } == .internal)
            #expect(await code { _ = try await database.query("SELECT 1", as: Int.self, Int.self) } == .internal)
        }
    }

    @Test(arguments: [
        "SELECT 'Ada' AS name", "SELECT 300 AS age, 'Ada' AS name, 'adult' AS kind, 0 AS born, x'' AS photo",
        "SELECT 'x' AS age, 'Ada' AS name, 'adult' AS kind, 0 AS born, x'' AS photo",
        "SELECT 3 AS age, 'Ada' AS name, 'none' AS kind, 0 AS born, x'' AS photo",
    ])
    func `A row without the columns of a Codable type is an internal error`(statement: String) async throws {
        let database = try SQLiteDatabase(path: ":memory:")
        let sql = SQL(stringLiteral: statement)
        #expect(await code { _ = try await database.query(sql, decoding: Person.self) } == .internal)
        await database.close()
    }

    @Test func `A nested Codable type is an internal error`() async throws {
        struct Nested: Decodable { let list: [Int] }
        let database = try SQLiteDatabase(path: ":memory:")
        #expect(await code { _ = try await database.query("SELECT 1 AS list", decoding: Nested.self) } == .internal)
        await database.close()
    }

    @Test func `A statement that changes data can return rows`() async throws {
        try await withDatabase { database async throws in
            let id = Note.ID()
            let count: Int? = try await database.queryValue(
                "INSERT INTO notes (id, title, count) VALUES (\(id), 'a', 7) RETURNING count")
            #expect(count == 7)
            #expect(try await database.queryValue("SELECT title FROM notes WHERE id = \(id)") == "a")
        }
    }
}
