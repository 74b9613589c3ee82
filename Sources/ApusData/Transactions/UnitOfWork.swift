/// A unit of work: the changes that repositories and job queues make inside it are committed together or not at all.
///
/// ```swift
/// try await unitOfWork.perform {
///     let order = try await orders.update(id) { try $0.pay() }
///     try await jobs.enqueue(SendReceipt(order: order.id))
/// }
/// ```
///
/// Its tasks are those that it awaits. A statement of a task that outlives it throws, and so does one on another database:
/// see ``withoutTransaction(_:)`` and ``allowingOtherDatabases(_:)``.
public struct UnitOfWork: Sendable {
    private let database: any Database

    public init(_ database: any Database) { self.database = database }

    /// Runs a closure in a transaction.
    /// - Throws: The error that the closure throws, after the transaction was rolled back, or the reason why it could
    ///   not be committed.
    @discardableResult
    public func perform<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await database.transaction(body)
    }

    /// Runs a closure in a transaction with options, such as ``TransactionOptions/retryable``.
    @discardableResult
    public func perform<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result {
        try await database.transaction(options, body)
    }

    /// Runs an action after the current transaction is committed; it does not run if the transaction is rolled back. If
    /// transactions of several databases are nested, it runs after all of them. Outside a transaction, it runs
    /// immediately.
    ///
    /// Use it for effects that cannot be undone, such as notifying clients. Actions run one at a time, in commit order,
    /// before ``perform(_:)`` returns.
    public static func afterCommit(_ action: @escaping @Sendable () -> Void) {
        if !AmbientTransaction.addAfterAllCommits(action) { action() }
    }

    /// Runs an action after the current transaction of one database is committed, whatever becomes of others around it.
    public static func afterCommit(of database: any Database, _ action: @escaping @Sendable () -> Void) {
        if let current = AmbientTransaction.current(of: database), current.addAfterCommit(action) { return }
        action()
    }

    // MARK: Beside the transaction

    /// Runs a closure that may run statements on other databases than that of the current transaction. Without it, such a
    /// statement throws, because it looks as if it were committed or undone together with the transaction.
    ///
    /// Each database has a transaction of its own there: what one has committed stays when the other is rolled back.
    public static func allowingOtherDatabases<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        try await AmbientTransaction.$allowsOtherDatabases.withValue(true) { try await body() }
    }

    /// Runs a closure outside of the current transaction, for tasks that are started in one and go on after it.
    ///
    /// ```swift
    /// try await unitOfWork.perform {
    ///     try await orders.insert(order)
    ///     Task { try await UnitOfWork.withoutTransaction { try await statistics.refresh() } }
    /// }
    /// ```
    /// Do not await it inside the transaction: on SQLite, a write waits there until the transaction has ended.
    public static func withoutTransaction<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        try await AmbientTransaction.$current.withValue(nil) { try await body() }
    }
}
