import ApusData
import GRDB

/// A connection in the hands of the thread that uses it.
struct OpenConnection {
    let database: GRDB.Database
    private let statements: StatementCache
    private let monitor: StatementMonitor

    init(_ database: GRDB.Database, _ statements: StatementCache, _ monitor: StatementMonitor) {
        self.database = database
        self.statements = statements
        self.monitor = monitor
    }

    // MARK: Statements

    func rows(of sql: ApusData.SQL) throws -> [ApusData.Row] {
        try run(sql) { try $0.handle.rows(columns: nil, sql: $0.sql) }
    }

    func executeUpdate(_ sql: ApusData.SQL) throws -> Int {
        try run(sql) { statement in
            try statement.execute()
            return database.changesCount
        }
    }

    /// Runs the statement of a hook.
    /// - Throws: If the transaction must not be committed.
    func run(_ hook: CommitHook) throws { try hook.check(try executeUpdate(hook.statement)) }

    /// Runs a statement that begins or ends a transaction or a savepoint. It is not ended when its task is cancelled.
    func control(_ sql: String) throws {
        let template = SQL(text: sql).template
        do {
            let statement = try statements.statement(template, on: database, isControl: true)
            try monitor.suspend { try statement.execute() }
        } catch {
            statements.remove(template)
            throw error
        }
    }

    /// Runs a closure whose changes are undone if it fails, while the transaction goes on.
    func inSavepoint<Result>(_ body: () throws -> Result) throws -> Result {
        try control("SAVEPOINT apus")
        do {
            let result = try body()
            try control("RELEASE apus")
            return result
        } catch {
            // After some errors, SQLite rolls back the entire transaction by itself.
            if isInsideTransaction {
                try control("ROLLBACK TO apus")
                try control("RELEASE apus")
            }
            throw error
        }
    }

    /// Runs a closure whose reads see one moment.
    func inReadTransaction<Result>(_ body: () throws -> Result) throws -> Result {
        defer { if isInsideTransaction { try? control("ROLLBACK") } }
        try control("BEGIN")
        return try body()
    }

    /// Runs a prepared statement with its values.
    private func run<Result>(_ sql: ApusData.SQL, _ body: (GRDB.Statement) throws -> Result) throws -> Result {
        let sql = sql.resolvingLists(for: .sqlite)
        let statement = try statements.statement(sql.template, on: database)
        do {
            try statement.bind(sql.values)
            return try body(statement)
        } catch {
            statements.remove(sql.template)
            throw error
        }
    }

    /// Returns a statement of its own with its values, for rows that are read in several visits.
    func makeStatement(_ sql: ApusData.SQL) throws -> GRDB.Statement {
        let (text, values) = try sql.rendered(for: .sqlite)
        try StatementGuard.check(text)
        let statement = try database.makeStatement(sql: text)
        try statement.bind(values)
        return statement
    }

    // MARK: State

    /// SQLite's handle.
    var handle: OpaquePointer? { database.sqliteConnection }

    var isInsideTransaction: Bool { database.isInsideTransaction }
}
