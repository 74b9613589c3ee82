/// A SQL database, independent of its engine.
///
/// The current transaction is a task-local value. Every statement that the task runs on the same database joins it,
/// including the statements of repositories and job queues.
public protocol Database: AnyObject, Sendable {
    /// The SQL dialect of the engine.
    var dialect: SQLDialect { get }

    /// Runs a statement and returns its rows.
    /// - Throws: An `AppError`: `alreadyExists` if a uniqueness constraint is violated, `failedPrecondition` if a
    ///   foreign key or check constraint is violated, `unavailable` if the database does not respond, `internal` if the
    ///   statement is invalid.
    func query(_ sql: SQL) async throws -> [Row]

    /// Runs a statement and returns the number of rows it changed.
    @discardableResult
    func execute(_ sql: SQL) async throws -> Int

    /// Runs a closure in a transaction, which is committed when the closure returns and rolled back when it throws.
    ///
    /// Inside another transaction of this database, the closure joins that transaction. If it throws there, the outer
    /// transaction can no longer be committed.
    @discardableResult
    func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result

    /// Closes all connections after running the statements that are already queued.
    func close() async
}

/// The SQL dialect of a database engine.
public enum SQLDialect: Sendable {
    case sqlite
    case postgres
}

/// Opens databases by URL. Each database engine provides an implementation.
public protocol DatabaseEngine: Sendable {
    /// The URL schemes that this engine opens, such as `sqlite`.
    var schemes: [String] { get }

    /// Opens a database.
    /// - Parameter url: The URL of the database, such as `sqlite:data/app.sqlite`.
    /// - Throws: An `AppError` that describes what is wrong with the URL or why the database cannot be opened.
    func open(_ url: String) throws -> any Database
}
