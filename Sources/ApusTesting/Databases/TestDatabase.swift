public import Apus
import Synchronization

/// The database of a test, which no other test sees.
///
/// ```swift
/// @Test(arguments: TestDatabase.available) func `An order is placed`(database: TestDatabase) async throws {
///     try await Shop.app.test(on: database) { app in … }
/// }
/// ```
///
/// The migrations of an app are applied once in a process, to a template. Each test has a copy of it.
public struct TestDatabase: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Sendable { case memory, sqlite, postgres }

    let kind: Kind
    let isRolledBack: Bool

    private init(_ kind: Kind, isRolledBack: Bool = false) {
        self.kind = kind
        self.isRolledBack = isRolledBack
    }

    /// SQLite in memory, which needs no template. Only one statement or transaction runs at a time.
    public static let memory = TestDatabase(.memory)
    /// A SQLite file in the temporary folder, which is removed after the test.
    public static let sqlite = TestDatabase(.sqlite)
    /// A database on the server of ``TestPostgres/shared()``, which is dropped after the test.
    public static let postgres = TestDatabase(.postgres)

    /// The same, in a transaction that is rolled back after the test. On Postgres, tests then share one database, which
    /// takes less time than to create one for each.
    ///
    /// Every transaction of the app is a savepoint, and actions that it adds for its commit run when the savepoint is
    /// released. Transactions of different tasks wait for each other. Isolation levels have no effect. A statement that
    /// is cancelled, or meets its deadline, ends the database of the test. Two tests that insert the same unique value
    /// wait for each other on Postgres.
    public var rolledBack: TestDatabase { TestDatabase(kind, isRolledBack: true) }

    /// A SQLite file, and Postgres where it is installed. Prints why it is missing if it is not.
    public static var available: [TestDatabase] { [.sqlite] + (TestPostgres.isAvailable ? [.postgres] : []) }

    public var description: String {
        let name =
            switch kind {
            case .memory: "SQLite in memory"
            case .sqlite: "SQLite"
            case .postgres: "Postgres"
            }
        return isRolledBack ? "\(name), rolled back" : name
    }

    // MARK: Opening

    /// Runs a closure with a database that has had some migrations, for tests of repositories without an app. It is
    /// closed and removed afterwards.
    ///
    /// ```swift
    /// try await database.run(SQLiteEngine(), PostgresEngine(), migrations: [CreateOrders.self]) { database in … }
    /// ```
    /// - Parameters:
    ///   - engines: The engines, one of which opens it.
    ///   - migrations: The migrations, in order. With none, the database is empty.
    /// - Throws: An `AppError` of code `unavailable` if Postgres is not installed or does not start, of code
    ///   `invalidArgument` if no engine opens it, an error of a migration, or the error of the closure.
    public func run<Result: Sendable>(
        _ engines: any DatabaseEngine..., migrations: [any Migration.Type],
        _ body: (any Database) async throws -> Result
    ) async throws -> Result {
        guard let engine = engine(of: engines) else {
            throw AppError(.invalidArgument, "A test on \(self) needs an engine for the scheme \"\(scheme)\".")
        }
        return try await withCopy(engine, migrations) { copy in
            let database = RolledBackDatabase(try engine.open(copy.url))
            do {
                if !copy.isMigrated { try await database.base.apply(migrations) }
                let result =
                    isRolledBack
                    ? try await database.rollingBack { try await body(database) } : try await body(database.base)
                await database.close()
                return result
            } catch {
                await database.close()
                throw error
            }
        }
    }

    /// Runs a closure with a copy of the template of some migrations, which is removed afterwards.
    func withCopy<Result>(
        _ engine: any DatabaseEngine, _ migrations: [any Migration.Type],
        _ body: (DatabaseCopy) async throws -> Result
    ) async throws -> Result {
        let copy = try await copy(engine, migrations)
        do {
            let result = try await body(copy)
            await copy.remove()
            return result
        } catch {
            await copy.remove()
            throw error
        }
    }

    private func copy(_ engine: any DatabaseEngine, _ migrations: [any Migration.Type]) async throws -> DatabaseCopy {
        switch kind {
        case .memory: DatabaseCopy(url: "sqlite::memory:", isMigrated: false)
        case .sqlite: try await SQLiteTemplates.shared.copy(engine, migrations)
        case .postgres where isRolledBack: try await PostgresTemplates.shared.sharedCopy(engine, migrations)
        case .postgres: try await PostgresTemplates.shared.copy(engine, migrations)
        }
    }

    /// The URL scheme of the engine that opens it.
    var scheme: String {
        switch kind {
        case .memory, .sqlite: "sqlite"
        case .postgres: "postgres"
        }
    }

    /// Returns the engine that opens it.
    func engine(of engines: [any DatabaseEngine]) -> (any DatabaseEngine)? {
        engines.first { $0.schemes.contains(scheme) }
    }
}

extension Database {
    /// Applies migrations to an empty database. Without any, it stays empty.
    func apply(_ migrations: [any Migration.Type]) async throws {
        if !migrations.isEmpty { try await Migrator(self, migrations).run() }
    }
}

/// A database of one test.
struct DatabaseCopy: Sendable {
    let url: String
    /// Whether the migrations have been applied.
    let isMigrated: Bool
    private let removal: (@Sendable () async -> Void)?

    init(url: String, isMigrated: Bool = true, removal: (@Sendable () async -> Void)? = nil) {
        self.url = url
        self.isMigrated = isMigrated
        self.removal = removal
    }

    /// Removes the database, even if the test was cancelled. All connections to it must be closed.
    func remove() async {
        guard let removal else { return }
        await Task.detached { await removal() }.value
    }
}

/// Values that are made once for each list of migrations, when they are first needed.
final class ValuesOfMigrations<Value: Sendable>: Sendable {
    private let tasks = Mutex<[[ObjectIdentifier]: Task<Value, any Error>]>([:])

    func value(
        _ migrations: [any Migration.Type], _ make: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let key = migrations.map { ObjectIdentifier($0) }
        return try await tasks.withLock { tasks in
            // Detached, because neither the deadline nor the end of the first test concerns the others.
            let task = tasks[key] ?? Task.detached { try await make() }
            tasks[key] = task
            return task
        }.value
    }
}
