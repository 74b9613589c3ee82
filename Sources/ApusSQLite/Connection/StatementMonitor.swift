import GRDBSQLite
import Synchronization

/// Ends the running statement of a connection when the task that waits for it is cancelled, or after a number of steps.
///
/// SQLite asks from time to time, on the connection's thread, whether to go on. `sqlite3_interrupt` would end whatever
/// runs by the time it takes effect, including the `ROLLBACK` of the next operation.
final class StatementMonitor: Sendable {
    /// The number of instructions of SQLite's virtual machine between two questions: some 30 microseconds.
    private static let interval: CInt = 1000

    /// What ends the statement.
    private enum Limit {
        case none
        case operation(Operation)
        case questions(Int)
    }

    private let limit = Mutex(Limit.none)

    /// Observes a connection, which must not outlive the monitor.
    func observe(_ connection: OpaquePointer?) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_progress_handler(
            connection, Self.interval,
            { context in
                guard let context else { return 0 }
                return Unmanaged<StatementMonitor>.fromOpaque(context).takeUnretainedValue().isOver() ? 1 : 0
            }, context)
    }

    private func isOver() -> Bool {
        limit.withLock { limit in
            switch limit {
            case .none: return false
            case .operation(let operation): return operation.isCancelled
            case .questions(let count):
                limit = .questions(count - 1)
                return count <= 0
            }
        }
    }

    /// Runs statements of an operation, which end when it is cancelled.
    func watch<Result>(_ operation: Operation, _ body: () throws -> Result) throws -> Result {
        try watch(.operation(operation), body)
    }

    /// Runs statements that end after about a number of instructions.
    func watch<Result>(instructions: Int, _ body: () throws -> Result) throws -> Result {
        try watch(.questions(instructions / Int(Self.interval)), body)
    }

    /// Runs a statement that nothing ends, inside of ``watch(_:_:)-(Operation,_)`` or outside: one that ends a transaction
    /// might leave it open.
    func suspend<Result>(_ body: () throws -> Result) rethrows -> Result {
        let suspended = limit.withLock { limit in
            defer { limit = .none }
            return limit
        }
        defer { limit.withLock { $0 = suspended } }
        return try body()
    }

    private func watch<Result>(_ newLimit: Limit, _ body: () throws -> Result) throws -> Result {
        limit.withLock { $0 = newLimit }
        defer { limit.withLock { $0 = .none } }
        return try body()
    }
}
