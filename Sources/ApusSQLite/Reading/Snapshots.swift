import ApusData
import GRDB
import Synchronization

/// Connections for reads that take several visits: streams and read-only transactions. They are opened when needed, up to
/// a limit, and stay open. Single reads have connections of their own, so a stream can run queries inside.
final class Snapshots: Sendable {
    private struct State {
        var threads = 0
        /// The number of sessions that run or wait.
        var sessions = 0
    }

    private let limit: Int
    private let idleLimit: Duration
    private let open: @Sendable () throws -> SQLiteConnection
    private let queue = WorkQueue<TransactionSession>()
    private let stopped = WorkQueue<Void>()
    private let visits = VisitCounter()
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: The maximum number of connections.
    ///   - idleLimit: The maximum time between two visits of a session.
    ///   - open: Opens a connection.
    init(limit: Int, idleLimit: Duration, open: @escaping @Sendable () throws -> SQLiteConnection) {
        self.limit = limit
        self.idleLimit = idleLimit
        self.open = open
    }

    func submit(_ session: TransactionSession) -> Bool {
        let opensAnother = state.withLock { state in
            state.sessions += 1
            guard state.sessions > state.threads, state.threads < limit else { return false }
            state.threads += 1
            return true
        }
        guard queue.push(session) else {
            state.withLock { state in
                state.sessions -= 1
                if opensAnother { state.threads -= 1 }
            }
            return false
        }
        if opensAnother { startThread("apus.sqlite.snapshot") { self.serve() } }
        return true
    }

    /// The number of sessions that wait for a connection.
    var waiting: Int { queue.count }

    /// The number of connections.
    var connections: Int { state.withLock { $0.threads } }

    /// Blocks until all sessions have ended.
    func close() {
        queue.close()
        for _ in 0..<connections { _ = stopped.pop() }
    }

    private func serve() {
        do {
            let connection = try open()
            while let session = queue.pop()?.first {
                session.run(on: connection, limit: idleLimit, visits: visits) { _ in try Self.begin(connection) }
                state.withLock { $0.sessions -= 1 }
            }
            connection.close()
        } catch {
            // A session that waits for this thread alone would wait for ever.
            if let session = queue.pop()?.first {
                session.fail(error)
                state.withLock { $0.sessions -= 1 }
            }
            state.withLock { $0.threads -= 1 }
        }
        _ = stopped.push(())
    }

    private static func begin(_ connection: SQLiteConnection) throws {
        try connection.use { connection in
            try connection.control("BEGIN DEFERRED")
            // The first read takes the snapshot.
            _ = try connection.rows(of: "SELECT COUNT(*) FROM sqlite_master")
        }
    }
}
