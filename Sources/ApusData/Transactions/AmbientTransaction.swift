import ApusCore
import Synchronization

/// The transaction that a task is in. Engines make it; databases and queues join it.
package final class AmbientTransaction: Sendable {
    private struct State {
        var afterCommit: [@Sendable () -> Void] = []
        var failure: (any Error)?
        var hasWritten = false
        var isOver = false
    }

    @TaskLocal package static var current: AmbientTransaction?

    /// The database that the transaction belongs to.
    package let database: ObjectIdentifier
    /// The engine's own handle.
    package let session: any Sendable
    /// The transaction, of another database, that this one was begun in.
    private let outer: AmbientTransaction?
    private let state = Mutex(State())

    package init(database: any Database, session: any Sendable) {
        self.database = ObjectIdentifier(database)
        self.session = session
        outer = Self.current
    }

    /// The present task's transaction of this database, if it has one that is not over: a task that was started inside
    /// may outlive it.
    package static func current(of database: any Database) -> AmbientTransaction? {
        var transaction = current
        while let candidate = transaction {
            if candidate.database == ObjectIdentifier(database) { return candidate.isOver ? nil : candidate }
            transaction = candidate.outer
        }
        return nil
    }

    private var isOver: Bool { state.withLock { $0.isOver } }

    /// Runs the body of a transaction inside this one. A failure stays: the outer body may catch it, but not commit.
    package func join<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }

    /// Notes that a statement of the transaction may have changed something.
    package func noteWrite() { state.withLock { $0.hasWritten = true } }

    /// Does what comes before the commit: runs the task's ``CommitCompanion`` if something was written.
    /// - Throws: When the transaction must not be committed, as when a part of it failed and was ignored.
    package func prepareCommit(_ database: any Database) async throws {
        let (failure, hasWritten) = state.withLock { ($0.failure, $0.hasWritten) }
        if let failure {
            throw AppError(
                .aborted, "A part of the transaction failed, so none of it was committed.", cause: failure)
        }
        guard hasWritten, let companion = CommitCompanion.current(of: database) else { return }
        try await Self.$current.withValue(self) { try await companion.run() }
    }

    /// - Returns: Whether there is a commit to wait for.
    package func addAfterCommit(_ action: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard !state.isOver else { return false }
            state.afterCommit.append(action)
            return true
        }
    }

    /// Ends it. The engine calls this at the commit, and runs what it gives in the order of commits.
    /// - Returns: What is to be run now.
    package func committed() -> [@Sendable () -> Void] {
        state.withLock { state in
            defer { state.afterCommit = [] }
            state.isOver = true
            return state.afterCommit
        }
    }

    package func rolledBack() { _ = committed() }
}
