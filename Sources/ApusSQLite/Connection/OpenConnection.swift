import ApusData
import GRDB

/// A connection in the hands of the thread that uses it.
struct OpenConnection {
    let database: GRDB.Database
    private let statements: StatementCache

    init(_ database: GRDB.Database, _ statements: StatementCache) {
        self.database = database
        self.statements = statements
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

    /// Runs a statement that begins or ends a transaction or a savepoint.
    func control(_ sql: String) throws {
        do {
            try statements.statement(sql, on: database).execute()
        } catch {
            statements.remove(sql)
            throw error
        }
    }

    /// Runs a prepared statement with its values.
    private func run<Result>(_ sql: ApusData.SQL, _ body: (GRDB.Statement) throws -> Result) throws -> Result {
        let (text, values) = try sql.rendered(for: .sqlite)
        try StatementGuard.check(text)
        let statement = try statements.statement(text, on: database)
        do {
            try statement.bind(values)
            return try body(statement)
        } catch {
            statements.remove(text)
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
