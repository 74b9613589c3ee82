import ApusCore
import ApusData
import Foundation
import GRDB
import Synchronization

/// A transaction with an asynchronous body. Its statements arrive one at a time, and it occupies its connection, such as
/// the writer's, until it ends.
final class TransactionSession: Sendable {
    private enum Step: Sendable {
        case statement(Operation)
        case end(Operation)
    }

    private let steps = WorkQueue<Step>()

    /// Runs a statement inside the transaction.
    func run<Result: Sendable>(_ body: @escaping @Sendable (GRDB.Database) throws -> Result) async throws -> Result {
        try await Operation.run(rejection: Self.endedError, submit: { steps.push(.statement($0)) }, body)
    }

    /// Commits the transaction. Cancellation of the task does not interrupt this: the commit either succeeds or fails.
    /// - Parameter onCommitted: Called on the writer thread after the commit. This method returns once it has called
    ///   its `completion` argument.
    func commit(onCommitted: @escaping @Sendable (_ completion: @escaping @Sendable () -> Void) -> Void) async throws {
        try await end("COMMIT", onCommitted)
    }

    /// Returns the rows of a query, which are read as they are consumed.
    func stream(_ sql: ApusData.SQL) -> (rows: RowStream, cursor: StatementCursor) {
        let cursor = StatementCursor(sql)
        cursors.withLock { $0.append(cursor) }
        return (RowStream { try await self.run(cursor.next) }, cursor)
    }

    /// Closes the statement of a query whose rows are not needed any more, even if the task was cancelled.
    func close(_ cursor: StatementCursor) async {
        await withCheckedContinuation { continuation in
            let operation = Operation({ _ in cursor.close() }) { _ in continuation.resume() }
            // A session that has ended has closed its cursors.
            if !steps.push(.statement(operation)) { operation.finish(nil) }
        }
    }

    func rollback() async { try? await end("ROLLBACK") { $0() } }

    private func end(
        _ sql: String, _ onSuccess: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let operation = Operation({ try $0.execute(sql: sql) }) { error in
                if let error { continuation.resume(throwing: error) } else { onSuccess { continuation.resume() } }
            }
            if !steps.push(.end(operation)) { operation.finish(Self.endedError) }
        }
    }

    private static var endedError: AppError {
        AppError(.aborted, "The transaction has already ended, or was rolled back because it was idle for too long.")
    }

    // MARK: On the connection's thread

    private let cursors = Mutex<[StatementCursor]>([])
    private let startOperation = Mutex<Operation?>(nil)

    /// Fails the transaction before it has begun.
    func fail(_ error: any Error) {
        startOperation.withLock { $0.take() }?.finish(error)
        failRemaining()
    }

    /// Sets the operation to finish when the transaction has begun.
    func setStart(_ operation: Operation) { startOperation.withLock { $0 = operation } }

    /// Runs the transaction until it ends.
    /// - Parameter begin: Begins it with the write lock, for which the operation waits.
    func run(on connection: SQLiteConnection, limit: Duration, begin: (Operation) throws -> Void) {
        // Steps pushed later find the queue closed; those already queued fail.
        defer {
            closeCursors(on: connection)
            failRemaining()
        }
        guard let start = startOperation.withLock({ $0.take() }) else { return }
        do {
            try begin(start)
        } catch {
            return start.finish(error)
        }
        guard start.begin() else {
            try? connection.use { try $0.execute(sql: "ROLLBACK") }
            return
        }
        start.finish(outcome { try connection.use(start.run) })
        while let step = steps.pop(until: Date(timeIntervalSinceNow: limit.seconds))?.first {
            switch step {
            case .statement(let operation): perform(operation, on: connection) { try connection.run(operation) }
            // Not to be interrupted: it could have taken effect.
            case .end(let operation): perform(operation, on: connection) { try connection.use(operation.run) }
            }
            // Committed, rolled back, or aborted by SQLite itself, for example because the disk is full. Further
            // statements would run outside of any transaction.
            if !isOpen(connection) { return }
        }
        try? connection.use { try $0.execute(sql: "ROLLBACK") }
    }

    private func perform(_ operation: Operation, on connection: SQLiteConnection, _ body: () throws -> Void) {
        guard operation.begin() else { return }
        operation.finish(outcome(body))
    }

    private func outcome(_ body: () throws -> Void) -> (any Error)? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }

    private func isOpen(_ connection: SQLiteConnection) -> Bool {
        (try? connection.use { $0.isInsideTransaction }) ?? false
    }

    private func closeCursors(on connection: SQLiteConnection) {
        let cursors = cursors.withLock { $0 }
        guard !cursors.isEmpty else { return }
        try? connection.use { _ in
            for cursor in cursors { cursor.close() }
        }
    }

    private func failRemaining() {
        steps.close()
        for step in steps.pop(atMost: .max) ?? [] {
            switch step {
            case .statement(let operation), .end(let operation): operation.finish(Self.endedError)
            }
        }
    }
}
