/// A database, whatever its engine.
///
/// Inside a transaction, which rides on the task, every statement joins it; so do those of repositories and of job queues
/// on the same database.
public protocol Database: AnyObject, Sendable {
    /// What tells this engine's SQL from others.
    var dialect: SQLDialect { get }

    /// Runs a statement and returns its rows.
    /// - Throws: An `AppError`: `alreadyExists` for a broken uniqueness, `failedPrecondition` for a broken reference or
    ///   check, `unavailable` when the database does not answer, `internal` for a wrong statement.
    func query(_ sql: SQL) async throws -> [Row]

    /// Runs a statement and returns how many rows it changed.
    @discardableResult
    func execute(_ sql: SQL) async throws -> Int

    /// Runs a body in a transaction: committed when it returns, rolled back when it throws.
    ///
    /// Inside another transaction of this database it joins that one; if it throws there, the whole can no longer commit.
    @discardableResult
    func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result

    /// Closes all connections. Statements that wait are still run.
    func close() async
}

/// The differences between engines that callers have to know.
public enum SQLDialect: Sendable {
    case sqlite
    case postgres
}

/// Opens databases by their URL: each engine's target has one.
public protocol DatabaseEngine: Sendable {
    /// The schemes of the URLs that this engine opens, such as `sqlite`.
    var schemes: [String] { get }

    /// - Parameter url: Such as `sqlite:data/app.sqlite`.
    /// - Throws: An `AppError` that says what is wrong with the URL or why the database cannot be opened.
    func open(_ url: String) throws -> any Database
}
