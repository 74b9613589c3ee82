import ApusCore
import Synchronization

/// The current transaction of a task. Engines create it; databases and job queues join it.
package final class AmbientTransaction: Sendable {
    private struct State {
        var afterCommit: [@Sendable () -> Void] = []
        var failure: (any Error)?
        var hasWritten = false
        var hasEnded = false
    }

    @TaskLocal package static var current: AmbientTransaction?

    /// The database that the transaction belongs to.
    package let database: ObjectIdentifier
    /// The engine's handle for the transaction.
    package let session: any Sendable
    /// The enclosing transaction, which belongs to another database.
    private let outer: AmbientTransaction?
    private let state = Mutex(State())

    package init(database: any Database, session: any Sendable) {
        self.database = ObjectIdentifier(database)
        self.session = session
        outer = Self.current
    }

    /// Returns the current task's transaction on a database, or `nil` if there is none or it has ended. A task that was
    /// started inside a transaction may outlive it.
    package static func current(of database: any Database) -> AmbientTransaction? {
        var transaction = current
        while let candidate = transaction {
            if candidate.database == ObjectIdentifier(database) { return candidate.hasEnded ? nil : candidate }
            transaction = candidate.outer
        }
        return nil
    }

    private var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// Runs the body of a nested transaction. If it fails, this transaction cannot be committed, even if the error is
    /// caught.
    package func join<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }

    /// Records that a statement of the transaction may have changed data.
    package func noteWrite() { state.withLock { $0.hasWritten = true } }

    /// Prepares the commit: runs the task's ``CommitHook`` if data may have changed.
    /// - Throws: If the transaction must not be committed, for example because an error of a nested one was ignored.
    package func prepareCommit(_ database: any Database) async throws {
        let (failure, hasWritten) = state.withLock { ($0.failure, $0.hasWritten) }
        if let failure {
            throw AppError(
                .aborted, "A nested transaction failed, so the transaction was not committed.", cause: failure)
        }
        guard hasWritten, let companion = CommitHook.current(of: database) else { return }
        try await Self.$current.withValue(self) { try await companion.run() }
    }

    /// Adds an action to run after the commit.
    /// - Returns: `false` if the transaction has already ended; the action is not added then.
    package func addAfterCommit(_ action: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard !state.hasEnded else { return false }
            state.afterCommit.append(action)
            return true
        }
    }

    /// Ends the transaction. The engine calls this at the commit, and runs the returned actions in commit order.
    /// - Returns: The actions to run after the commit.
    package func committed() -> [@Sendable () -> Void] {
        state.withLock { state in
            defer { state.afterCommit = [] }
            state.hasEnded = true
            return state.afterCommit
        }
    }

    /// Ends the transaction without running the actions added for its commit.
    package func rolledBack() { _ = committed() }
}

extension AmbientTransaction {
    /// Whether the current task is in a transaction on any database.
    package static var isActive: Bool {
        var transaction = current
        while let candidate = transaction {
            if !candidate.hasEnded { return true }
            transaction = candidate.outer
        }
        return false
    }
}
