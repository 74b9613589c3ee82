import ApusCore
import ApusData
import NIOCore
import Synchronization

/// A cursor on the server: the place in the rows of a query that is read in batches.
final class PostgresCursor: Sendable {
    private struct State {
        var phase = Phase.undeclared
        /// The number of rows of the next batch.
        var batch = 64
        var rows = 0
        var duration = TimeAmount.zero
    }

    private enum Phase {
        case undeclared
        case open
        case atEnd
        case closed
    }

    /// The limits of a batch. The size of rows is known only from those before.
    private static let (maximumRows, targetBytes) = (1000, 256 << 10)

    private let name = "apus_cursor_\(UInt64.random(in: .min ... .max))"
    private let query: SQL
    private let transaction: PostgresTransaction
    private let state = Mutex(State())

    init(_ query: SQL, in transaction: PostgresTransaction) {
        self.query = query
        self.transaction = transaction
    }

    /// The rows, of which the next batch is read only when the one before has been consumed.
    var rows: RowStream { RowStream { try await self.next() } }

    /// What was read so far.
    var total: (rows: Int, duration: Duration) {
        state.withLock { ($0.rows, .nanoseconds($0.duration.nanoseconds)) }
    }

    private func next() async throws -> [Row] {
        let (phase, count) = state.withLock { ($0.phase, $0.batch) }
        switch phase {
        case .undeclared: try await declare()
        case .open: break
        case .atEnd: return []
        case .closed: throw AppError(.aborted, "The rows can be read only inside the closure of the stream.")
        }
        let result = try await transaction.run(SQL(text: "FETCH \(count) FROM \(name)"), keepsPrepared: false)
        state.withLock { state in
            state.rows += result.rows.count
            state.duration = state.duration + result.duration
            if result.rows.count < count, state.phase == .open { state.phase = .atEnd }
            let bytes = Row.size(of: result.rows) / max(1, result.rows.count)
            state.batch = min(max(1, Self.targetBytes / max(1, bytes)), Self.maximumRows)
        }
        return result.rows
    }

    private func declare() async throws {
        _ = try await transaction.run(
            "DECLARE \(identifier: name) NO SCROLL CURSOR FOR \(query)", keepsPrepared: false)
        state.withLock { if $0.phase == .undeclared { $0.phase = .open } }
    }

    /// Ends the stream.
    /// - Returns: Whether the server still has the cursor.
    @discardableResult
    func end() -> Bool {
        state.withLock { state in
            defer { state.phase = .closed }
            return state.phase == .open || state.phase == .atEnd
        }
    }

    /// Ends the stream, and closes the cursor in a transaction that goes on, even if the task was cancelled.
    func close() async {
        guard end() else { return }
        // Fails only if the transaction has failed, and the cursor with it.
        let request = PendingRequest(.statement("CLOSE \(identifier: name)", keepsPrepared: false))
        _ = try? await request.performUncancelled(on: transaction.connection)
    }
}
