import ApusCore
import ApusData
import GRDB

/// A connection, used by one thread at a time.
struct SQLiteConnection: Sendable {
    private let queue: DatabaseQueue
    private let monitor: StatementMonitor
    private let statements = StatementCache()

    /// Opens a connection.
    /// - Parameter retriesLock: Called on the connection's thread when another process holds the lock; returns whether
    ///   to try again. By default, the connection retries until the options' `busyTimeout`.
    /// - Throws: An `AppError` of code `unavailable`, or `dataLoss` if the file is damaged.
    init(
        path: String, options: SQLiteOptions, for purpose: Purpose, retriesLock: (@Sendable () -> Bool)? = nil
    ) throws {
        var configuration = GRDB.Configuration()
        configuration.readonly = purpose == .reading
        configuration.busyMode =
            retriesLock.map { retries in .callback { _ in retries() } } ?? .timeout(options.busyTimeout.seconds)
        // Transactions begin and end with explicit statements, across several accesses to the connection.
        configuration.allowsUnsafeTransactions = true
        configuration.label = "apus.sqlite.\(purpose.rawValue)"
        let monitor = StatementMonitor()
        self.monitor = monitor
        // The closure keeps the monitor for as long as the connection is open.
        configuration.prepareDatabase { database in
            monitor.observe(database.sqliteConnection)
            try Self.setUp(database, for: purpose, inMemory: path == ":memory:", options)
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as AppError {
            throw AppError(.unavailable, "Cannot open the database \(path): \(error.message)", cause: error.cause)
        } catch let error as DatabaseError where AppError(sqlite: error).code == .dataLoss {
            throw AppError(
                .dataLoss,
                "Cannot open the database \(path): the file is damaged, or is none of SQLite. Restore it from a backup.",
                cause: error)
        } catch {
            throw AppError(.unavailable, "Cannot open the database \(path): \(error).", cause: error)
        }
    }

    /// Runs a closure with the connection. Synchronous, because GRDB's asynchronous access costs fifty times as much.
    func use<Result>(_ body: (OpenConnection) throws -> Result) throws -> Result {
        try Self.translatingErrors { try queue.inDatabase { try body(OpenConnection($0, statements, monitor)) } }
    }

    /// Runs an operation. It ends with an error of code `cancelled` when its task is cancelled.
    func run(_ operation: Operation) throws { try use { try run(operation, on: $0) } }

    /// Runs an operation inside the closure of ``use(_:)``.
    func run(_ operation: Operation, on connection: OpenConnection) throws {
        try Self.translatingErrors { try monitor.watch(operation) { try operation.run(on: connection) } }
    }

    /// Runs a closure and converts SQLite errors to `AppError`s that hide the details from callers.
    static func translatingErrors<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw AppError(sqlite: error)
        }
    }

    func close() {
        queue.inDatabase { _ in statements.removeAll() }
        try? queue.close()
    }
}
