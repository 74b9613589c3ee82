import ApusCore
import ApusData
import ApusPostgres
import ApusSQLite
import ApusTesting
import Synchronization
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

/// An entity that counts its changes, and remains in the table when it is deleted.
struct Draft: Record, Versioned, Equatable {
    typealias ID = Identifier<Draft>
    static let table = "drafts"
    static let deletedColumn: String? = "deleted_at"

    let id: ID
    var text: String
    var version: Int

    init(id: ID = ID(), text: String, version: Int = 1) {
        self.id = id
        self.text = text
        self.version = version
    }

    init(row: Row) throws {
        self.init(id: try row.get("id"), text: try row.get("text"), version: try row.get("version"))
    }

    var columns: [(name: String, value: any SQLValueConvertible)] {
        [("id", id), ("text", text), ("version", version)]
    }
}

enum CreateDrafts: Migration {
    static let id = "create-drafts"
    static let statements: [SQL] = [
        """
        CREATE TABLE drafts (
            id TEXT PRIMARY KEY, text TEXT NOT NULL, version INTEGER NOT NULL, deleted_at \(type: .timestamp)
        )\(SQL.strict)
        """
    ]
}

enum CreateNotes: Migration {
    static let id = "create-notes"
    static let statements: [SQL] = [
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT NOT NULL, count INTEGER NOT NULL CHECK (count < 1000000))\(SQL.strict)"
    ]
}

/// Runs a closure with a database in a temporary file, which is removed afterwards.
func withDatabase<Result>(
    options: SQLiteOptions = SQLiteOptions(), _ body: (SQLiteDatabase) async throws -> Result
) async throws -> Result {
    let path = "/tmp/apus-test-\(Identifier<Note>()).sqlite"
    // Migrated with the default options, so that the options of the test do not affect the migration.
    let migrating = try SQLiteDatabase(path: path)
    try await Migrator(migrating, [CreateNotes.self, CreateDrafts.self]).run()
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
    /// The repositories of an implementation, and its units of work.
    struct Repositories {
        let notes: any Repository<Note>
        let drafts: any Repository<Draft>
        let unitOfWork: UnitOfWork
        /// `nil` for the implementation in memory.
        let database: (any Database)?

        init(_ database: any Database) {
            (notes, drafts) = (SQLRepository<Note>(database), SQLRepository<Draft>(database))
            unitOfWork = UnitOfWork(database)
            self.database = database
        }

        init() {
            (notes, drafts) = (MemoryRepository<Note>(), MemoryRepository<Draft>())
            unitOfWork = UnitOfWork(MemoryDatabase())
            database = nil
        }
    }

    /// Another engine is another case here.
    enum Implementation: CaseIterable {
        case memory, sqlite, sqliteInMemory, postgres

        static let allCases: [Implementation] =
            [.memory, .sqlite, .sqliteInMemory] + (TestPostgres.isAvailable ? [.postgres] : [])
    }

    func with(
        _ implementation: Implementation, _ body: (Repositories) async throws -> Void
    ) async throws {
        switch implementation {
        case .memory: try await body(Repositories())
        case .sqlite: try await withDatabase { try await body(Repositories($0)) }
        case .sqliteInMemory: try await with(try SQLiteDatabase(path: ":memory:"), body)
        case .postgres:
            let server = try await TestPostgres.shared()
            var configuration = try PostgresConfiguration(url: server.url(database: try await server.createDatabase()))
            // Many tests run at once on few processors.
            configuration.connectTimeout = .seconds(60)
            try await with(try PostgresDatabase(configuration), body)
        }
    }

    /// Runs a closure with the repositories of a new database, which is closed afterwards.
    private func with(_ database: any Database, _ body: (Repositories) async throws -> Void) async throws {
        do {
            try await Migrator(database, [CreateNotes.self, CreateDrafts.self]).run()
            try await body(Repositories(database))
            await database.close()
        } catch {
            await database.close()
            throw error
        }
    }

    private func withRepository(
        _ implementation: Implementation, _ body: (any Repository<Note>) async throws -> Void
    ) async throws {
        try await with(implementation) { try await body($0.notes) }
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

    @Test(arguments: Implementation.allCases) func `Entities are listed by id, page by page`(
        implementation: Implementation
    ) async throws {
        try await withRepository(implementation) { notes in
            let all = (0..<25).map { Note(title: "\($0)") }
            try await notes.insert(all.shuffled())
            var pages: [[Note]] = []
            repeat {
                pages.append(try await notes.list(after: pages.last?.last?.id, limit: 10))
            } while pages.last?.isEmpty == false
            #expect(pages.map(\.count) == [10, 10, 5, 0])
            #expect(Array(pages.joined()) == all.sorted { $0.id.description < $1.id.description })
            #expect(try await notes.list(after: nil, limit: 0) == [])
            #expect(try await notes.list(after: nil, limit: -1) == [])
        }
    }

    @Test(arguments: Implementation.allCases, [0, 1, 2, 3, 1000, 5000]) func `Many entities are inserted, or none`(
        implementation: Implementation, count: Int
    ) async throws {
        try await withRepository(implementation) { notes in
            let all = (0..<count).map { Note(title: "\($0)", count: $0) }
            try await notes.insert(all)
            #expect(try await notes.list(after: nil, limit: .max).count == count)
            guard let last = all.last else { return }
            let more = (0..<count).map { Note(title: "more \($0)") } + [last]
            #expect(await code { try await notes.insert(more) } == .alreadyExists)
            #expect(try await notes.list(after: nil, limit: .max).count == count)
        }
    }

    @Test(arguments: Implementation.allCases) func `An upserted entity is inserted or replaced`(
        implementation: Implementation
    ) async throws {
        try await withRepository(implementation) { notes in
            var note = Note(title: "a", count: 1)
            try await notes.upsert(note)
            note.title = "b"
            try await notes.upsert(note)
            #expect(try await notes.list(after: nil, limit: 10) == [note])
        }
    }

    @Test(arguments: Implementation.allCases) func `A saved entity replaces the stored one`(
        implementation: Implementation
    ) async throws {
        try await withRepository(implementation) { notes in
            var note = Note(title: "a")
            #expect(await code { try await notes.save(note) } == .notFound)
            try await notes.insert(note)
            note.title = "b"
            #expect(try await notes.save(note) == note)
            #expect(try await notes.get(note.id) == note)
        }
    }

    @Test(arguments: Implementation.allCases)
    func `A versioned entity is saved only if nobody has changed it meanwhile`(
        implementation: Implementation
    ) async throws {
        try await with(implementation) { repositories in
            let drafts = repositories.drafts
            let id = Draft.ID()
            try await drafts.insert(Draft(id: id, text: "a"))
            var (mine, yours) = (try await drafts.get(id), try await drafts.get(id))
            mine.text = "mine"
            yours.text = "yours"
            let saved = try await drafts.save(mine)
            #expect(saved == Draft(id: id, text: "mine", version: 2))
            #expect(await code { try await drafts.save(yours) } == .aborted)
            #expect(try await drafts.get(id) == saved)
            // The next version of what was saved can be saved again, and an update counts too.
            #expect(try await drafts.save(saved).version == 3)
            #expect(try await drafts.update(id) { $0.text = "c" }.version == 4)
            #expect(await code { try await drafts.save(saved) } == .aborted)
            #expect(await code { try await drafts.save(Draft(text: "missing")) } == .notFound)
        }
    }

    @Test(arguments: Implementation.allCases) func `Of parallel saves of one version, one succeeds`(
        implementation: Implementation
    ) async throws {
        try await with(implementation) { repositories in
            let drafts = repositories.drafts
            let draft = Draft(text: "a")
            try await drafts.insert(draft)
            let codes = await withTaskGroup(of: StatusCode?.self) { group in
                for _ in 0..<20 { group.addTask { await code { try await drafts.save(draft) } } }
                return await group.reduce(into: [StatusCode?]()) { $0.append($1) }
            }
            #expect(codes.count { $0 == nil } == 1)
            #expect(codes.count { $0 == .aborted } == 19)
        }
    }

    @Test(arguments: Implementation.allCases) func `A softly deleted entity is not found, saved or deleted any more`(
        implementation: Implementation
    ) async throws {
        try await with(implementation) { repositories in
            let drafts = repositories.drafts
            let (kept, deleted) = (Draft(text: "kept"), Draft(text: "deleted"))
            try await drafts.insert([kept, deleted])
            try await drafts.delete(deleted.id)
            #expect(try await drafts.find(deleted.id) == nil)
            #expect(try await drafts.list(after: nil, limit: 10) == [kept])
            #expect(await code { try await drafts.save(deleted) } == .notFound)
            #expect(await code { try await drafts.update(deleted.id) { _ in } } == .notFound)
            #expect(await code { try await drafts.delete(deleted.id) } == .notFound)
            guard let database = repositories.database else { return }
            #expect(try await database.queryValue("SELECT COUNT(*) FROM drafts") == 2)
            let either = try await SQLRepository<Draft>(database).all(
                where: "text = 'deleted' OR text = 'kept' ORDER BY id")
            #expect(either == [kept])
        }
    }

    @Test(arguments: Implementation.allCases) func `A unit of work that fails changes nothing`(
        implementation: Implementation
    ) async throws {
        struct Failure: Error {}
        try await with(implementation) { repositories in
            let (notes, drafts) = (repositories.notes, repositories.drafts)
            let (changed, deleted) = (Note(title: "a"), Note(title: "b"))
            try await notes.insert([changed, deleted])
            await #expect(throws: Failure.self) {
                try await repositories.unitOfWork.perform {
                    try await notes.update(changed.id) { $0.title = "changed" }
                    try await notes.update(changed.id) { $0.title = "changed again" }
                    try await notes.delete(deleted.id)
                    try await notes.insert(Note(title: "c"))
                    try await drafts.insert(Draft(text: "d"))
                    throw Failure()
                }
            }
            #expect(Set(try await notes.list(after: nil, limit: 10).map(\.title)) == ["a", "b"])
            #expect(try await drafts.list(after: nil, limit: 10) == [])
        }
    }

    @Test(arguments: Implementation.allCases) func `A savepoint that fails is undone alone`(
        implementation: Implementation
    ) async throws {
        struct Failure: Error {}
        try await with(implementation) { repositories in
            let (notes, unitOfWork) = (repositories.notes, repositories.unitOfWork)
            try await unitOfWork.perform {
                try await notes.insert(Note(title: "a"))
                try? await unitOfWork.perform(.savepoint) {
                    try await notes.insert(Note(title: "b"))
                    throw Failure()
                }
                try await notes.insert(Note(title: "c"))
            }
            #expect(Set(try await notes.list(after: nil, limit: 10).map(\.title)) == ["a", "c"])
        }
    }

    @Test(arguments: Implementation.allCases) func `An after-commit action in an update runs after its commit`(
        implementation: Implementation
    ) async throws {
        struct Failure: Error {}
        try await with(implementation) { repositories in
            let notes = repositories.notes
            let note = Note(title: "a")
            try await notes.insert(note)
            let log = Log()
            try await notes.update(note.id) { note in
                note.title = "b"
                UnitOfWork.afterCommit { log.append("alone") }
            }
            #expect(log.all == ["alone"])
            try await repositories.unitOfWork.perform {
                try await notes.update(note.id) { _ in UnitOfWork.afterCommit { log.append("in a unit") } }
                #expect(log.all == ["alone"])
            }
            #expect(log.all == ["alone", "in a unit"])
            guard implementation != .memory else { return }
            await #expect(throws: Failure.self) {
                try await notes.update(note.id) { _ in
                    UnitOfWork.afterCommit { log.append("never") }
                    throw Failure()
                }
            }
            #expect(log.all.count == 2)
        }
    }

    private final class Log: Sendable {
        private let entries = Mutex<[String]>([])
        var all: [String] { entries.withLock { $0 } }
        func append(_ entry: String) { entries.withLock { $0.append(entry) } }
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
