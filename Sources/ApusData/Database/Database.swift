/// A SQL database, independent of its engine.
///
/// The current transaction is a task-local value. Every statement that the task runs on the same database joins it,
/// including the statements of repositories and job queues.
///
/// A statement ends at the deadline of its task, or when the task is cancelled: it stops waiting, and is interrupted if it
/// runs. What it has changed is rolled back, and inside a transaction, the whole transaction is.
public protocol Database: AnyObject, Sendable {
    /// The SQL dialect of the engine.
    var dialect: SQLDialect { get }

    /// The name of the database in errors and logs, without secrets. By default that of the type.
    var name: String { get }

    /// Runs a statement and returns its rows. Also for statements that change data and return rows, such as
    /// `INSERT … RETURNING`.
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

    /// Runs a closure in a transaction with options. See ``TransactionOptions``.
    ///
    /// By default, each engine that has only ``transaction(_:)-(()->Result)`` sets the options by statements.
    @discardableResult
    func transaction<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result

    /// Runs a query, and passes its rows to a closure as they are read. The closure decides how fast.
    ///
    /// The rows are those of one moment, however long the closure takes. On SQLite outside of a transaction, a connection
    /// is reserved for the closure, and the write-ahead log grows while it runs. An engine without streams reads all
    /// rows first.
    func stream<Result: Sendable>(_ sql: SQL, _ body: (RowStream) async throws -> Result) async throws -> Result

    /// Reads rows, decides without waiting what to change, and changes it, in one transaction. On SQLite, this is one visit
    /// to the writer's thread, committed together with the writes of others, where a transaction with an asynchronous
    /// closure takes four.
    ///
    /// ```swift
    /// let total = try await database.change(reading: "SELECT total FROM accounts WHERE id = \(id)\(SQL.rowLock)") { rows in
    ///     let total = try rows[0].get(0, as: Int.self) + 1
    ///     return Change(["UPDATE accounts SET total = \(total) WHERE id = \(id)"], returning: total)
    /// }
    /// ```
    /// - Parameters:
    ///   - reading: A query. It should lock its rows by ``SQL/rowLock``.
    ///   - decide: Returns what to change. If it throws, nothing is changed. It may run again after a conflict.
    func change<Result: Sendable>(
        reading: SQL, _ decide: @escaping @Sendable ([Row]) throws -> Change<Result>
    ) async throws -> Result

    /// Runs several statements that do not depend on each other, and returns the rows of each, in the same order. On
    /// Postgres, they take one round trip, and a fraction of the time on both sides that they take one by one.
    ///
    /// ```swift
    /// let rows = try await database.batch(ids.map { "SELECT * FROM world WHERE id = \($0)" })
    /// ```
    /// If a statement changes data, all of them are one transaction: if one fails, none has an effect. A batch of
    /// `SELECT` need not see one moment; for that, use a transaction of ``TransactionOptions/snapshot``.
    /// - Returns: As many results as there are statements, with all their rows in memory.
    /// - Throws: The first error of a statement. The results of the others are dropped.
    func batch(_ statements: [SQL]) async throws -> [[Row]]

    /// Inserts many rows, in one transaction, in the way that is fastest for the engine. On Postgres, that is `COPY` for a
    /// hundred rows or more, which goes into tables alone: neither into views nor where row-level security applies.
    ///
    /// ```swift
    /// try await database.load(into: "prices", columns: ["sku", "amount"], rows: prices.map { [$0.sku, $0.amount] })
    /// ```
    /// - Parameters:
    ///   - table: The name of the table.
    ///   - columns: The names of the columns.
    ///   - rows: The values of each row, in the order of the columns.
    /// - Returns: The number of rows.
    /// - Throws: An `AppError` of code `invalidArgument` if a row has not as many values as there are columns, or a value
    ///   cannot be stored; the errors of ``execute(_:)``. No row is inserted then.
    @discardableResult
    func load(into table: String, columns: [String], rows: [[any SQLValueConvertible]]) async throws -> Int

    /// What the connections do at this moment. By default, nothing is known.
    var statistics: DatabaseStatistics { get }

    /// Checks that the database answers, in the way that is cheapest for the engine. By default by `SELECT 1`.
    /// - Throws: An `AppError` of code `unavailable`.
    func checkHealth() async throws

    /// Runs a closure while no other process migrates this database.
    ///
    /// By default it runs the closure at once. That is enough for SQLite: each migration checks in its transaction, which
    /// holds the only write lock, whether another process has applied it.
    func withMigrationLock<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result

    /// Writes a copy of the database, as it is at one moment, into a new file. By default there is no such way.
    /// - Throws: An `AppError` of code `unimplemented` if the engine has tools of its own for that, of code
    ///   `alreadyExists` if the file exists.
    func backUp(to path: String) async throws

    /// Checks that the stored data is sound. By default there is no such way.
    /// - Returns: What is wrong; nothing if all is well.
    /// - Throws: An `AppError` of code `unimplemented` if the engine has tools of its own for that.
    func checkIntegrity() async throws -> [String]

    /// Sends messages between the processes that use this database; `nil`, the default, if the engine has no such way.
    var pubSub: (any PubSub)? { get }

    /// Closes all connections after running the statements that are already queued.
    func close() async
}

/// What to change, decided by the closure of ``Database/change(reading:_:)``.
public struct Change<Result: Sendable>: Sendable {
    /// The statements that change data, in order.
    public let statements: [SQL]
    public let result: Result

    /// Creates a change. Without statements, nothing is changed.
    public init(_ statements: [SQL], returning result: Result) {
        self.statements = statements
        self.result = result
    }
}

/// The SQL dialect of a database engine.
public enum SQLDialect: Sendable {
    case sqlite
    case postgres
}
