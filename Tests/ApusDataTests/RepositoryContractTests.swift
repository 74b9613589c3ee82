import ApusCore
import ApusData
import ApusSQLite
import Testing

struct Note: Record, Equatable {
    typealias ID = Identifier<Note>
    static let table = "notes"

    let id: ID
    var title: String
    var count: Int

    init(id: ID = ID(), title: String, count: Int = 0) {
        self.id = id
        self.title = title
        self.count = count
    }

    init(row: Row) throws {
        self.init(id: try row.get("id"), title: try row.get("title"), count: try row.get("count"))
    }

    var columns: [(name: String, value: any SQLValueConvertible)] { [("id", id), ("title", title), ("count", count)] }
}

enum CreateNotes: Migration {
    static let id = "create-notes"
    static let statements: [SQL] = [
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT NOT NULL, count INTEGER NOT NULL CHECK (count < 1000000))"
    ]
}

/// Runs a closure with a database in a temporary file, which is removed afterwards.
func withDatabase<Result>(
    options: SQLiteOptions = SQLiteOptions(), _ body: (SQLiteDatabase) async throws -> Result
) async throws -> Result {
    let path = "/tmp/apus-test-\(Identifier<Note>()).sqlite"
    // Migrated with the default options, so that the options of the test do not affect the migration.
    let migrating = try SQLiteDatabase(path: path)
    try await Migrator(migrating, [CreateNotes.self]).run()
    await migrating.close()
    let database = try SQLiteDatabase(path: path, options: options)
    defer { removeDatabase(path) }
    do {
        let result = try await body(database)
        await database.close()
        return result
    } catch {
        await database.close()
        throw error
    }
}

/// The contract of `Repository`, checked for every implementation.
@Suite struct RepositoryContractTests {
    enum Implementation: CaseIterable { case memory, sqlite, sqliteInMemory }

    private func withRepository(
        _ implementation: Implementation, _ body: (any Repository<Note>) async throws -> Void
    ) async throws {
        switch implementation {
        case .memory: try await body(MemoryRepository<Note>())
        case .sqlite: try await withDatabase { try await body(SQLRepository<Note>($0)) }
        case .sqliteInMemory:
            let database = try SQLiteDatabase(path: ":memory:")
            try await Migrator(database, [CreateNotes.self]).run()
            try await body(SQLRepository<Note>(database))
            await database.close()
        }
    }

    @Test(arguments: Implementation.allCases) func `An inserted entity can be found, updated and deleted`(
        implementation: Implementation
    ) async throws {
        try await withRepository(implementation) { notes in
            let note = Note(title: "O'Reilly; DROP TABLE notes; --", count: 1)
            try await notes.insert(note)
            #expect(try await notes.find(note.id) == note)
            let changed = try await notes.update(note.id) { $0.count += 1 }
            #expect(changed.count == 2)
            #expect(try await notes.get(note.id) == changed)
            try await notes.delete(note.id)
            #expect(try await notes.find(note.id) == nil)
        }
    }

    @Test(arguments: Implementation.allCases)
    func `A missing entity is NOT_FOUND, a duplicate one ALREADY_EXISTS`(
        implementation: Implementation
    ) async throws {
        try await withRepository(implementation) { notes in
            let note = Note(title: "a")
            try await notes.insert(note)
            #expect(await code { try await notes.insert(note) } == .alreadyExists)
            let missing = Note.ID()
            #expect(await code { _ = try await notes.get(missing) } == .notFound)
            #expect(await code { try await notes.update(missing) { _ in } } == .notFound)
            #expect(await code { try await notes.delete(missing) } == .notFound)
        }
    }

    @Test(arguments: Implementation.allCases) func `An update whose closure throws stores nothing`(
        implementation: Implementation
    ) async throws {
        struct Failure: Error {}
        try await withRepository(implementation) { notes in
            let note = Note(title: "a")
            try await notes.insert(note)
            await #expect(throws: Failure.self) {
                try await notes.update(note.id) { note in
                    note.count = 9
                    throw Failure()
                }
            }
            #expect(try await notes.get(note.id).count == 0)
        }
    }

    @Test(arguments: Implementation.allCases) func `Concurrent updates are not lost`(
        implementation: Implementation
    ) async throws {
        try await withRepository(implementation) { notes in
            let note = Note(title: "a")
            try await notes.insert(note)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<100 { group.addTask { try await notes.update(note.id) { $0.count += 1 } } }
                try await group.waitForAll()
            }
            #expect(try await notes.get(note.id).count == 100)
        }
    }

    @Test func `A repository in memory lists what it holds`() throws {
        let (first, second) = (Note(title: "a"), Note(title: "b"))
        let notes = MemoryRepository([first])
        try notes.insert(second)
        #expect(Set(notes.all.map(\.id)) == [first.id, second.id])
    }
}

/// Returns the code of the error that a closure throws.
func code(_ body: () async throws -> Void) async -> StatusCode? {
    do {
        try await body()
        return nil
    } catch {
        return AppError(wrapping: error).code
    }
}
