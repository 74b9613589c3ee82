import ApusCore
import Foundation
import GRDB
import Synchronization

/// A transaction whose body awaits: its statements come one by one, and the writer belongs to it until it ends.
final class WriteTransaction: Sendable {
    private enum Step: Sendable {
        case statement(Operation)
        case end(Operation)
    }

    private let steps = WorkQueue<Step>()

    /// Runs a statement inside the transaction.
    func run<Result: Sendable>(_ body: @escaping @Sendable (GRDB.Database) throws -> Result) async throws -> Result {
        try await Operation.run(refusal: Self.over, submit: { steps.push(.statement($0)) }, body)
    }

    /// Commits. Not held up by the task's cancellation: what was asked for is done or undone.
    /// - Parameter onCommitted: Called on the writer's thread once it is committed, and calls what it is given, in its own time: the
    ///   wait ends then.
    func commit(onCommitted: @escaping @Sendable (_ done: @escaping @Sendable () -> Void) -> Void) async throws {
        try await end("COMMIT", onCommitted)
    }

    func rollback() async { try? await end("ROLLBACK") { $0() } }

    private func end(
        _ sql: String, _ onSuccess: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let operation = Operation({ try $0.execute(sql: sql) }) { error in
                if let error { continuation.resume(throwing: error) } else { onSuccess { continuation.resume() } }
            }
            if !steps.push(.end(operation)) { operation.finish(Self.over) }
        }
    }

    private static var over: AppError {
        AppError(.aborted, "The transaction is over; it took too long or had ended before.")
    }

    // MARK: On the writer's thread

    private let started = Mutex<Operation?>(nil)

    /// The operation to finish when the transaction has begun.
    func onStart(_ operation: Operation) { started.withLock { $0 = operation } }

    /// Serves the transaction to its end.
    func run(on connection: SQLiteConnection, limit: Duration, _ lock: WriteLock) {
        // Whatever is pushed from here on finds the queue closed; whatever was pushed before is answered.
        defer { failRemaining() }
        guard let start = started.withLock({ $0.take() }) else { return }
        do {
            try lock.acquire(for: [start]) { try connection.use { try $0.execute(sql: "BEGIN IMMEDIATE") } }
        } catch {
            return start.finish(error)
        }
        guard start.begin() else {
            try? connection.use { try $0.execute(sql: "ROLLBACK") }
            return
        }
        finish(start, on: connection)
        while let step = steps.pop(until: Date(timeIntervalSinceNow: limit.seconds)).first {
            switch step {
            case .statement(let operation), .end(let operation): perform(operation, on: connection)
            }
            // Committed, rolled back, or given up by SQLite itself, as it does when the disk is full: what follows would
            // be outside of any transaction.
            if !isOpen(connection) { return }
        }
        try? connection.use { try $0.execute(sql: "ROLLBACK") }
    }

    private func perform(_ operation: Operation, on connection: SQLiteConnection) {
        guard operation.begin() else { return }
        finish(operation, on: connection)
    }

    private func finish(_ operation: Operation, on connection: SQLiteConnection) {
        do {
            try connection.use(operation.run)
            operation.finish(nil)
        } catch {
            operation.finish(error)
        }
    }

    private func isOpen(_ connection: SQLiteConnection) -> Bool {
        (try? connection.use { $0.isInsideTransaction }) ?? false
    }

    private func failRemaining() {
        steps.close()
        for step in steps.pop(atMost: .max) {
            switch step {
            case .statement(let operation), .end(let operation): operation.finish(Self.over)
            }
        }
    }
}
