import ApusCore
import Synchronization

/// The current transaction of a task. Engines create it; databases and job queues join it.
package final class AmbientTransaction: Sendable {
    struct State {
        var afterCommit: [AfterCommit] = []
        var undo: [@Sendable () -> Void] = []
        var failure: (any Error)?
        var hasWritten = false
        var phase = Phase.open
        /// The number of statements that run or wait.
        var statements = 0
        /// The number of nested transactions and streams whose closures run.
        var closures = 0
        /// The number of savepoints so far, which is the number of the next one.
        var savepoints = 0
        /// The numbers of those that are open, the innermost last.
        var openSavepoints: [Int] = []
    }

    enum Phase {
        case open
        /// Its closure has returned.
        case committing
        case ended
    }

    struct AfterCommit {
        let run: @Sendable () -> Void
        /// Whether to wait for the enclosing transactions of other databases too.
        let waitsForAll: Bool
    }

    @TaskLocal package static var current: AmbientTransaction?

    /// The name of the database.
    let name: String
    /// The database that the transaction belongs to.
    package let database: ObjectIdentifier
    /// The engine's handle for the transaction; `nil` if it takes no statements of tasks, but only those of a change.
    package let session: (any Sendable)?
    /// The enclosing transaction, which belongs to another database.
    let outer: AmbientTransaction?
    let state = Mutex(State())

    /// Creates a transaction.
    /// - Parameters:
    ///   - session: The engine's handle; `nil` for a transaction that a change makes by itself.
    ///   - outer: The enclosing transaction; by default the task's.
    package init(
        database: any Database, session: (any Sendable)?, outer: AmbientTransaction? = AmbientTransaction.current
    ) {
        name = database.name
        self.database = ObjectIdentifier(database)
        self.session = session
        self.outer = outer
    }

    // MARK: End

    /// Prepares the commit. The transaction takes no statements any more.
    /// - Returns: The hook whose statement the engine has to run before the commit.
    /// - Throws: If the transaction must not be committed, for example because an error of a nested one was ignored.
    package func prepareCommit(_ database: any Database) throws -> CommitHook? {
        let hasWritten = try state.withLock { state in
            if let failure = state.failure {
                let reason = failure is CancellationError ? "A statement was cancelled" : "A nested transaction failed"
                throw AppError(.aborted, "\(reason), so the transaction was not committed.", cause: failure)
            }
            guard state.statements == 0, state.closures == 0 else {
                throw TransactionMisuse.unfinished(name).appError
            }
            state.phase = .committing
            return state.hasWritten
        }
        return hasWritten ? CommitHook.current(of: database) : nil
    }

    /// Ends the transaction. The engine calls this at the commit, and runs the returned actions in commit order.
    /// - Returns: The actions to run after the commit.
    package func committed() -> [@Sendable () -> Void] {
        let (actions, undo) = end()
        let next = Self.innermostOpen(from: outer)
        for action in undo { next?.addUndo(action) }
        return actions.filter { action in !(action.waitsForAll && next?.add(action) == true) }.map(\.run)
    }

    /// Ends the transaction without running the actions added for its commit.
    package func rolledBack() {
        for action in end().undo.reversed() { action() }
    }

    private func end() -> (afterCommit: [AfterCommit], undo: [@Sendable () -> Void]) {
        state.withLock { state in
            defer { (state.afterCommit, state.undo) = ([], []) }
            state.phase = .ended
            return (state.afterCommit, state.undo)
        }
    }

    // MARK: Actions

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

    private func add(_ action: AfterCommit) -> Bool {
        state.withLock { state in
            guard state.phase != .ended else { return false }
            state.afterCommit.append(action)
            return true
        }
    }

    /// Adds an action that undoes a change outside of the database if the transaction, or the savepoint in which it is, is
    /// rolled back.
    static func addUndo(_ action: @escaping @Sendable () -> Void) {
        innermostOpen(from: current)?.addUndo(action)
    }

    private func addUndo(_ action: @escaping @Sendable () -> Void) {
        state.withLock { if $0.phase != .ended { $0.undo.append(action) } }
    }

    // MARK: Finding

    /// Returns the current task's transaction on a database, or `nil` if there is none or it has ended.
    package static func current(of database: any Database) -> AmbientTransaction? {
        current?.chain.first { $0.database == ObjectIdentifier(database) }.flatMap { $0.hasEnded ? nil : $0 }
    }

    /// Whether the current task is in a transaction on any database.
    package static var isActive: Bool { innermostOpen(from: current) != nil }

    static func innermostOpen(from transaction: AmbientTransaction?) -> AmbientTransaction? {
        transaction?.chain.first { !$0.hasEnded }
    }

    /// The transaction and those around it, from the inside out.
    var chain: some Sequence<AmbientTransaction> { sequence(first: self) { $0.outer } }

    var hasEnded: Bool { state.withLock { $0.phase == .ended } }
}
