import ApusCore
import Synchronization

/// The current transaction of a task. Engines create it; databases and job queues join it.
package final class AmbientTransaction: Sendable {
    private struct State {
        var afterCommit: [AfterCommit] = []
        var undo: [@Sendable () -> Void] = []
        var savepoints = 0
        var failure: (any Error)?
        var hasWritten = false
        var hasEnded = false
    }

    private struct AfterCommit {
        let run: @Sendable () -> Void
        /// Whether to wait for the enclosing transactions of other databases too.
        let waitsForAll: Bool
    }

    @TaskLocal package static var current: AmbientTransaction?

    /// The database that the transaction belongs to.
    package let database: ObjectIdentifier
    /// The engine's handle for the transaction.
    package let session: any Sendable
    /// The enclosing transaction, which belongs to another database.
    private let outer: AmbientTransaction?
    private let state = Mutex(State())

    /// Creates a transaction.
    /// - Parameter outer: The enclosing transaction; by default the task's.
    package init(
        database: any Database, session: any Sendable, outer: AmbientTransaction? = AmbientTransaction.current
    ) {
        self.database = ObjectIdentifier(database)
        self.session = session
        self.outer = outer
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
        add(AfterCommit(run: action, waitsForAll: false))
    }

    /// Adds an action to run after the commits of all transactions of the task that are open.
    /// - Returns: `false` if none is open; the action is not added then.
    package static func addAfterAllCommits(_ action: @escaping @Sendable () -> Void) -> Bool {
        innermostOpen(from: current)?.add(AfterCommit(run: action, waitsForAll: true)) ?? false
    }

    private static func innermostOpen(from transaction: AmbientTransaction?) -> AmbientTransaction? {
        var candidate = transaction
        while let transaction = candidate, transaction.hasEnded { candidate = transaction.outer }
        return candidate
    }

    private func add(_ action: AfterCommit) -> Bool {
        state.withLock { state in
            guard !state.hasEnded else { return false }
            state.afterCommit.append(action)
            return true
        }
    }

    /// Ends the transaction. The engine calls this at the commit, and runs the returned actions in commit order.
    /// - Returns: The actions to run after the commit.
    package func committed() -> [@Sendable () -> Void] {
        let (actions, undo) = end()
        let next = Self.innermostOpen(from: outer)
        for action in undo { next?.addUndo(action) }
        return actions.filter { action in !(action.waitsForAll && next?.add(action) == true) }.map(\.run)
    }

    /// Adds an action that undoes a change outside of the database if the transaction, or the savepoint in which it is, is
    /// rolled back.
    static func addUndo(_ action: @escaping @Sendable () -> Void) {
        innermostOpen(from: current)?.addUndo(action)
    }

    private func addUndo(_ action: @escaping @Sendable () -> Void) {
        state.withLock { if !$0.hasEnded { $0.undo.append(action) } }
    }

    private func end() -> (afterCommit: [AfterCommit], undo: [@Sendable () -> Void]) {
        state.withLock { state in
            defer { (state.afterCommit, state.undo) = ([], []) }
            state.hasEnded = true
            return (state.afterCommit, state.undo)
        }
    }

    /// Ends the transaction without running the actions added for its commit.
    package func rolledBack() {
        for action in end().undo.reversed() { action() }
    }

    // MARK: Savepoints

    /// Runs the body of a nested transaction in a savepoint. If it fails, this transaction goes on.
    package func savepoint<Result>(on database: any Database, _ body: () async throws -> Result) async throws -> Result
    {
        let (number, actions, changes) = state.withLock { state in
            state.savepoints += 1
            return (state.savepoints, state.afterCommit.count, state.undo.count)
        }
        let name = "apus_\(number)"
        try await database.execute("SAVEPOINT \(identifier: name)")
        let isSound = state.withLock { $0.failure == nil }
        do {
            let result = try await body()
            try await database.execute("RELEASE SAVEPOINT \(identifier: name)")
            return result
        } catch {
            // If that fails too, the transaction cannot go on, and every further statement of it fails.
            try await join {
                try await database.execute("ROLLBACK TO SAVEPOINT \(identifier: name)")
                try await database.execute("RELEASE SAVEPOINT \(identifier: name)")
            }
            let undo = state.withLock { state in
                state.afterCommit.removeLast(max(0, state.afterCommit.count - actions))
                defer { state.undo.removeLast(max(0, state.undo.count - changes)) }
                // What joined the savepoint, and failed, is undone with it.
                if isSound { state.failure = nil }
                return state.undo.dropFirst(changes)
            }
            for action in undo.reversed() { action() }
            throw error
        }
    }
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
