import ApusCore
public import ApusData
import Synchronization

extension SQLiteDatabase {
    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await transaction(TransactionOptions(), body)
    }

    /// Runs a closure in a transaction with options. The isolation is always that of `serializable`.
    ///
    /// The closure runs on the thread of the connection, so that its statements do not change threads. A read-only
    /// transaction has a connection of its own, beside the writer. In memory, where there is no other connection, it holds
    /// the writer and can write.
    @discardableResult
    public func transaction<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result {
        try await options.run(on: self, body) {
            if options.isReadOnly, let snapshots { return try await read(in: snapshots, body) }
            return try await write(body)
        }
    }

    private func write<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let session = TransactionSession()
        let ambient = AmbientTransaction(database: self, session: session)
        let actions = CommitActionsEnd()
        let result = try await session.perform(submit: { writer.submit(.transaction(session)) }) {
            try await rollingBackOnError(ambient, session) {
                let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
                let hook = try ambient.prepareCommit(self)
                try Task.checkCancellation()
                try await session.commit(hook) { [writer] in
                    writer.afterCommit(ambient.committed(), actions.reach)
                }
                return result
            }
        }
        // Not in the closure, which would go on elsewhere than before.
        await actions.wait()
        return result
    }

    private func read<Result: Sendable>(
        in snapshots: Snapshots, _ body: () async throws -> Result
    ) async throws -> Result {
        let session = TransactionSession()
        let ambient = AmbientTransaction(database: self, session: session)
        let result = try await session.perform(submit: { snapshots.submit(session) }) {
            try await rollingBackOnError(ambient, session) {
                let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
                // Nothing was written, so there is no hook to run.
                _ = try ambient.prepareCommit(self)
                await session.rollback()
                return result
            }
        }
        for action in ambient.committed() { action() }
        return result
    }

    private func rollingBackOnError<Result>(
        _ ambient: AmbientTransaction, _ session: TransactionSession, _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await body()
        } catch {
            ambient.rolledBack()
            await session.rollback()
            throw error
        }
    }

    public func stream<Result: Sendable>(_ sql: SQL, _ body: (RowStream) async throws -> Result) async throws -> Result
    {
        if let (ambient, session) = try currentTransaction() {
            return try await ambient.runClosure { try await stream(sql, on: session, body) }
        }
        guard sql.isRead, let snapshots else {
            return try await body(RowStream(rows: try await query(sql)))
        }
        let session = TransactionSession()
        try await session.begin { snapshots.submit(session) }
        do {
            let result = try await body(session.stream(sql).rows)
            await session.rollback()
            return result
        } catch {
            await session.rollback()
            throw error
        }
    }

    private func stream<Result: Sendable>(
        _ sql: SQL, on session: TransactionSession, _ body: (RowStream) async throws -> Result
    ) async throws -> Result {
        let (rows, cursor) = session.stream(sql)
        do {
            let result = try await body(rows)
            await session.close(cursor)
            return result
        } catch {
            await session.close(cursor)
            throw error
        }
    }
}

/// The moment at which the actions after a commit have run.
private final class CommitActionsEnd: Sendable {
    private enum State {
        case open
        case waiting(CheckedContinuation<Void, Never>)
        case reached
    }

    private let state = Mutex(State.open)

    @Sendable func reach() {
        let waiting = state.withLock { state in
            defer { state = .reached }
            guard case .waiting(let continuation) = state else { return nil as CheckedContinuation<Void, Never>? }
            return continuation
        }
        waiting?.resume()
    }

    /// Waits for it, even if the task is cancelled.
    func wait() async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if case .reached = state { return true }
                state = .waiting(continuation)
                return false
            }
            if isReached { continuation.resume() }
        }
    }
}
