import ApusCore
import ApusData
import Foundation
import Synchronization

/// A transaction with an asynchronous body, which occupies a connection and its thread, such as the writer's, until it
/// ends.
///
/// It is the task executor of its body: the body runs on the thread of the connection, so that its statements are calls.
/// A body that does not wait for anything else is a single visit to the thread, from `BEGIN` to `COMMIT`. Statements of
/// code that runs elsewhere, such as on an actor with an executor of its own, are steps for which the thread waits.
final class TransactionSession: TaskExecutor {
    private enum Step: Sendable {
        case statement(Operation)
        case end(Operation)
        /// A part of the body, or of a task that it has started.
        case job(UnownedJob)
    }

    private struct State {
        var cursors: [StatementCursor] = []
        /// The connection, and its thread, while the transaction is open.
        var connection: (SQLiteConnection, thread: pthread_t)?
        var hasBegun = false
        /// Why statements fail that do not run any more.
        var failure: any Error = endedError
    }

    private let steps = WorkQueue<Step>()
    private let state = Mutex(State())
    private let start = Mutex<Operation?>(nil)

    init() {
        let operation = Operation({ _ in }) { [weak self] error in
            if let error { self?.fail(error) }
        }
        start.withLock { $0 = operation }
    }

    // MARK: For the body

    /// Runs a closure on the thread of the connection, once the transaction has begun.
    /// - Parameter submit: Hands the session to the thread; returns `false` if it is no longer accepted.
    func perform<Result>(submit: () -> Bool, _ body: () async throws -> Result) async throws -> Result {
        try Task.checkCancellation()
        guard submit() else { throw AppError(.unavailable, "The database is closed.") }
        return try await withTaskCancellationHandler {
            try await withTaskExecutorPreference(self) {
                try checkBegun()
                return try await body()
            }
        } onCancel: {
            startOperation?.cancel()
        }
    }

    /// Waits until the transaction has begun, for statements that run elsewhere.
    /// - Parameter submit: As of ``perform(submit:_:)``.
    func begin(submit: () -> Bool) async throws {
        try await perform(submit: submit) {}
    }

    private func checkBegun() throws {
        let failure = state.withLock { $0.hasBegun ? nil : $0.failure }
        if let failure { throw failure }
    }

    /// Runs a statement inside the transaction.
    func run<Result: Sendable>(_ body: @escaping @Sendable (OpenConnection) throws -> Result) async throws -> Result {
        try await Operation.run(
            rejection: state.withLock { $0.failure }, submit: { submit(.statement($0)) }, body)
    }

    /// Returns the rows of a query, which are read as they are consumed.
    func stream(_ sql: ApusData.SQL) -> (rows: RowStream, cursor: StatementCursor) {
        let cursor = StatementCursor(sql)
        state.withLock { $0.cursors.append(cursor) }
        return (RowStream { try await self.run(cursor.next) }, cursor)
    }

    /// Closes the statement of a query whose rows are not needed any more, even if the task was cancelled.
    func close(_ cursor: StatementCursor) async {
        await withCheckedContinuation { continuation in
            let operation = Operation({ _ in cursor.close() }) { _ in continuation.resume() }
            // A session that has ended has closed its cursors.
            if !submit(.statement(operation)) { operation.finish(nil) }
        }
    }

    /// Commits the transaction. Cancellation of the task does not interrupt this: the commit either succeeds or fails.
    /// - Parameters:
    ///   - hook: Its statement runs before the commit, in the same visit.
    ///   - onCommitted: Called on the connection's thread after the commit.
    func commit(_ hook: CommitHook? = nil, onCommitted: @escaping @Sendable () -> Void) async throws {
        try await end { connection in
            if let hook { try connection.run(hook) }
            try connection.control("COMMIT")
            onCommitted()
        }
    }

    func rollback() async { try? await end { try $0.control("ROLLBACK") } }

    private func end(_ body: @escaping @Sendable (OpenConnection) throws -> Void) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let operation = Operation(body) { continuation.resume(with: $0.map { .failure($0) } ?? .success(())) }
            if !submit(.end(operation)) { operation.finish(state.withLock { $0.failure }) }
        }
    }

    private static var endedError: any Error {
        AppError(.aborted, "The transaction has already ended, or was rolled back because it was idle for too long.")
    }

    /// Runs a step at once on the thread of the connection, or leaves it to the thread.
    /// - Returns: `false` if the transaction has ended.
    private func submit(_ step: Step) -> Bool {
        let connection = state.withLock { state in
            state.connection.flatMap { pthread_equal($0.thread, pthread_self()) != 0 ? $0.0 : nil }
        }
        guard let connection else { return steps.push(step) }
        perform(step, on: connection)
        return true
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if !steps.push(.job(job)) { runElsewhere(job) }
    }

    /// Runs what the body does after the end of the transaction.
    private func runElsewhere(_ job: UnownedJob) {
        DispatchQueue.global().async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    // MARK: On the connection's thread

    private var startOperation: Operation? { start.withLock { $0 } }

    /// Fails the transaction before it has begun.
    func fail(_ error: any Error) {
        state.withLock { $0.failure = error }
        closeSteps()
    }

    /// Runs the transaction until it ends.
    /// - Parameters:
    ///   - visits: Counts the steps.
    ///   - begin: Begins it with the write lock, for which the operation waits.
    func run(
        on connection: SQLiteConnection, limit: Duration, visits: VisitCounter, begin: (Operation) throws -> Void
    ) {
        guard let start = startOperation, !start.isFinished else { return }
        do {
            try begin(start)
        } catch {
            return start.finish(error)
        }
        guard start.begin() else {
            try? connection.use { try $0.control("ROLLBACK") }
            return
        }
        state.withLock { state in
            state.connection = (connection, pthread_self())
            state.hasBegun = true
        }
        start.finish(nil)
        while isOpen, let step = steps.pop(until: Date(timeIntervalSinceNow: limit.seconds))?.first {
            visits.increment()
            perform(step, on: connection)
        }
        if isOpen { try? connection.use { try $0.control("ROLLBACK") } }
        closeCursors(on: connection)
        state.withLock { $0.connection = nil }
        closeSteps()
    }

    private var isOpen: Bool { state.withLock { $0.connection != nil } }

    private func perform(_ step: Step, on connection: SQLiteConnection) {
        switch step {
        case .statement(let operation): perform(operation, on: connection) { try connection.run(operation) }
        // Not to be interrupted: it could have taken effect.
        case .end(let operation): perform(operation, on: connection) { try connection.use(operation.run) }
        case .job(let job): return job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    private func perform(_ operation: Operation, on connection: SQLiteConnection, _ body: () throws -> Void) {
        guard operation.begin() else { return }
        let failure: (any Error)?
        do {
            try body()
            failure = nil
        } catch {
            failure = error
        }
        // Committed, rolled back, or aborted by SQLite itself, for example because the disk is full. Further statements
        // would run outside of any transaction.
        if (try? connection.use { $0.isInsideTransaction }) != true {
            closeCursors(on: connection)
            state.withLock { $0.connection = nil }
            steps.close()
        }
        operation.finish(failure)
    }

    private func closeCursors(on connection: SQLiteConnection) {
        let cursors = state.withLock { $0.cursors }
        guard !cursors.isEmpty else { return }
        try? connection.use { _ in
            for cursor in cursors { cursor.close() }
        }
    }

    /// Accepts no more steps. Statements that are queued fail, and jobs go on elsewhere.
    private func closeSteps() {
        steps.close()
        let failure = state.withLock { $0.failure }
        for step in steps.pop(atMost: .max) ?? [] {
            switch step {
            case .statement(let operation), .end(let operation): operation.finish(failure)
            case .job(let job): runElsewhere(job)
            }
        }
    }
}
