import ApusCore
import ApusData
import ApusSQLite
import Foundation
import Testing

/// Reads that run at once on the thread of the caller.
@Suite struct SQLiteInlineReadTests {
    private func withDatabase(
        _ configure: (inout SQLiteOptions) -> Void = { _ in },
        _ body: (SQLiteDatabase, String) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = SQLiteOptions()
        configure(&options)
        let path = folder.appending(path: "app.sqlite").path
        let database = try SQLiteDatabase(path: path, options: options)
        try await database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        try await body(database, path)
        await database.close()
    }

    @Test func `A read sees each write that has ended`() async throws {
        try await withDatabase { database, _ async throws in
            for id in 0..<100 {
                try await database.execute("INSERT INTO t VALUES (\(id), \("n\(id)"))")
                #expect(try await database.value("SELECT count(*) FROM t") == id + 1)
                #expect(try await database.value("SELECT name FROM t WHERE id = \(id)") == "n\(id)")
            }
        }
    }

    @Test func `A read of many instructions runs whole, and again`() async throws {
        try await withDatabase({ $0.inlineReadInstructions = 1000 }) { database, _ async throws in
            for _ in 0..<3 {
                let count: Int = try await database.value(
                    """
                    SELECT count(*) FROM (
                        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n
                    )
                    """)
                #expect(count == 100_000)
                #expect(try await database.value("SELECT count(*) FROM t") == 0)
            }
        }
    }

    @Test(arguments: [0, 10_000]) func `Reads of many tasks at once are right`(instructions: Int) async throws {
        try await withDatabase({ $0.inlineReadInstructions = instructions }) { database, _ async throws in
            for id in 0..<50 { try await database.execute("INSERT INTO t VALUES (\(id), \("n\(id)"))") }
            try await withThrowingTaskGroup { group in
                for task in 0..<20 {
                    group.addTask {
                        for step in 0..<50 {
                            let id = (task * 7 + step) % 50
                            let name: String = try await database.value("SELECT name FROM t WHERE id = \(id)")
                            #expect(name == "n\(id)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `Columns that another connection has added appear`() async throws {
        try await withDatabase { database, path async throws in
            try await database.execute("INSERT INTO t VALUES (1, 'a')")
            #expect(try await database.query("SELECT * FROM t")[0].columns == ["id", "name"])
            let other = try SQLiteDatabase(path: path)
            try await other.execute("ALTER TABLE t ADD COLUMN note TEXT")
            try await other.execute("ALTER TABLE t RENAME COLUMN name TO title")
            #expect(try await database.query("SELECT * FROM t")[0].columns == ["id", "title", "note"])
            await other.close()
        }
    }

    @Test func `Texts that differ only in their Unicode form are different statements`() async throws {
        try await withDatabase { database, _ async throws in
            #expect(try await database.value("SELECT length('\u{E9}')") == 1)
            #expect(try await database.value("SELECT length('e\u{301}')") == 2)
        }
    }

    @Test(arguments: [0, 10_000]) func `A statement with a placeholder of its own is an error`(
        instructions: Int
    ) async throws {
        try await withDatabase({ $0.inlineReadInstructions = instructions }) { database, _ async throws in
            for statement: SQL in ["SELECT ?", "SELECT ?, \(1)", "INSERT INTO t VALUES (?, 'a')"] {
                let error = await #expect(throws: AppError.self) { try await database.query(statement) }
                #expect(error?.code == .internal)
            }
            #expect(try await database.value("SELECT count(*) FROM t") == 0)
        }
    }

    @Test(arguments: [0, 10_000]) func `A statement that is followed by another is an error`(
        instructions: Int
    ) async throws {
        try await withDatabase({ $0.inlineReadInstructions = instructions }) { database, _ async throws in
            let error = await #expect(throws: AppError.self) { try await database.query("SELECT 1; SELECT 2") }
            #expect(error?.code == .internal)
            #expect(try await database.value("SELECT 1; ") == 1)
        }
    }

    @Test func `A read after the end is refused`() async throws {
        try await withDatabase { database, _ async throws in
            await database.close()
            let error = await #expect(throws: AppError.self) { try await database.query("SELECT 1") }
            #expect(error?.code == .unavailable)
        }
    }
}

extension Database {
    /// Returns the first value of the first row.
    fileprivate func value<Value: SQLValueConvertible>(
        _ sql: SQL, as type: Value.Type = Value.self
    ) async throws -> Value {
        try #require(try await query(sql).first).get(0)
    }
}
