import ApusCore
import Synchronization

/// The transaction that a task is in. Engines make it; databases and queues join it.
package final class AmbientTransaction: Sendable {
    private struct State {
        var afterCommit: [@Sendable () -> Void] = []
        var failure: (any Error)?
    }

    @TaskLocal package static var current: AmbientTransaction?

    /// The database that the transaction belongs to.
    package let database: ObjectIdentifier
    /// The engine's own handle.
    package let session: any Sendable
    private let state = Mutex(State())

    package init(database: any Database, session: any Sendable) {
        self.database = ObjectIdentifier(database)
        self.session = session
    }

    /// The present task's transaction, if it is one of this database.
    package static func current(of database: any Database) -> AmbientTransaction? {
        guard let current, current.database == ObjectIdentifier(database) else { return nil }
        return current
    }

    /// Runs the body of a transaction inside this one. A failure stays: the outer body may catch it, but not commit.
    package func join<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }

    /// - Throws: When a part of the transaction failed and was ignored.
    package func checkCommit() throws {
        if let failure = state.withLock({ $0.failure }) {
            throw AppError(
                .aborted, "A part of the transaction failed, so none of it was committed.", cause: failure)
        }
    }

    package func addAfterCommit(_ action: @escaping @Sendable () -> Void) {
        state.withLock { $0.afterCommit.append(action) }
    }

    package func committed() {
        let actions = state.withLock { state in
            defer { state.afterCommit = [] }
            return state.afterCommit
        }
        for action in actions { action() }
    }
}
