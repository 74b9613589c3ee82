import GRDB
import GRDBSQLite
import Synchronization

/// Ends the running statement of a connection when the task that waits for it is cancelled or its deadline passes.
///
/// SQLite asks from time to time, on the connection's thread, whether to go on. `sqlite3_interrupt` would end whatever
/// runs by the time it takes effect, including the `ROLLBACK` of the next operation.
final class StatementMonitor: Sendable {
    /// The number of instructions of SQLite's virtual machine between two questions, less than a millisecond.
    private static let interval: CInt = 10_000

    private let operation = Mutex<Operation?>(nil)

    /// Observes a connection, which must not outlive the monitor.
    func observe(_ database: GRDB.Database) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_progress_handler(
            database.sqliteConnection, Self.interval,
            { context in
                guard let context else { return 0 }
                return Unmanaged<StatementMonitor>.fromOpaque(context).takeUnretainedValue().isCancelled ? 1 : 0
            }, context)
    }

    private var isCancelled: Bool { operation.withLock { $0 }?.isCancelled ?? false }

    /// Runs statements of an operation, which end when it is cancelled.
    func watch<Result>(_ operation: Operation, _ body: () throws -> Result) throws -> Result {
        self.operation.withLock { $0 = operation }
        defer { self.operation.withLock { $0 = nil } }
        return try body()
    }
}
