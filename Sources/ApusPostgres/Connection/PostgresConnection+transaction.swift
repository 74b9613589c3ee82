import ApusCore
import NIOCore

extension PostgresConnection {
    /// How far the transaction of a task has come that has the connection for itself.
    enum TransactionPhase {
        /// Statements are not part of a transaction.
        case none
        /// These statements begin the transaction, in one write with the first statement of the task.
        case notBegun([String])
        /// The transaction has not begun on the server yet. Statements wait for that: if it could not begin, they would
        /// run outside of it.
        case beginning([PendingRequest])
        case begun
    }

    /// Called when requests were answered.
    func transactionAdvanced() {
        guard case .beginning(let held) = transaction, isIdle else { return }
        transaction = .begun
        for request in held where !request.isCancelled { submit(request) }
    }

    /// Called when the connection is lost. The end of a transaction that had begun fails then: it was rolled back.
    func transactionLost(_ error: AppError) {
        switch transaction {
        case .none, .notBegun, .begun: break
        case .beginning(let held):
            for request in held { request.finish(.failure(error)) }
            transaction = .begun
        }
    }

    /// Whether the transaction that the task has begun was ended by the server.
    var hasTransactionEnded: Bool { machine.isReady && isIdle && machine.status == .idle }

    /// Lets the next statement begin a transaction.
    /// - Parameter statements: `BEGIN` with its options, and what is set for the transaction.
    func beginTransaction(_ statements: [String]) async {
        await onLoop { $0.transaction = .notBegun(statements) }
    }

    /// Commits the transaction, unless no statement has begun it.
    /// - Throws: An `AppError` of code `unknown` if the connection is lost before the answer arrives.
    func commit() async throws {
        await settle()
        guard await hasBegunTransaction(isCommit: true) else { return }
        // COMMIT outside of a transaction succeeds with a warning.
        guard await onLoop({ !$0.hasTransactionEnded }) else {
            throw AppError(.aborted, "The transaction has already ended.")
        }
        let commit = PendingRequest(.commit)
        _ = try await withTaskCancellationHandler {
            try await commit.performUncancelled(on: self)
        } onCancel: {
            loop.execute { self.limitCommit(commit) }
        }
        await onLoop { $0.transaction = .none }
    }

    /// Rolls the transaction back. If that fails, the connection is not used again.
    func rollback() async {
        await settle()
        guard await hasBegunTransaction(isCommit: false) else { return }
        let watchdog = loop.scheduleTask(in: .seconds(5)) { self.close() }
        _ = try? await PendingRequest(.simple("ROLLBACK")).performUncancelled(on: self)
        watchdog.cancel()
        await onLoop { $0.transaction = .none }
    }

    /// Whether there is a transaction to end. Ends one that has not begun.
    ///
    /// A transaction that the server has ended is committed nevertheless, so that the commit fails.
    private func hasBegunTransaction(isCommit: Bool) async -> Bool {
        await onLoop { connection in
            switch connection.transaction {
            case .none: return false
            case .notBegun:
                connection.transaction = .none
                return false
            case .begun where !isCommit && connection.hasTransactionEnded:
                // Ended by the server, for example because the commit failed.
                connection.transaction = .none
                return false
            case .beginning, .begun: return true
            }
        }
    }

    /// Runs a closure on the connection's event loop, at once if called there.
    func onLoop<Value: Sendable>(_ body: @escaping @Sendable (PostgresConnection) -> Value) async -> Value {
        await withUnsafeContinuation { continuation in
            loop.runNowOrSoon { continuation.resume(returning: body(self)) }
        }
    }
}
