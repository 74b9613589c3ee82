import GRDB
import GRDBSQLite
import Synchronization

/// Copies the write-ahead log (WAL) back into the database file, and only while this process holds SQLite's write lock.
///
/// SQLite 3.7.0 to 3.51.2 loses commits if a connection commits, and thereby restarts the WAL, while another one
/// checkpoints (https://sqlite.org/wal.html#walresetbug). Here that cannot happen, in whatever processes the connections
/// are:
/// - A commit restarts the WAL under the write lock, `WAL_WRITE_LOCK`, which one connection of all processes can hold.
/// - ``run()`` is called only while the writer holds that lock by `BEGIN IMMEDIATE`, and the transaction writes nothing.
///   The checkpoint runs on a connection of its own; it reads the header of the WAL and finishes while the lock is held.
/// - The mode is always `PASSIVE`: the others ask for the write lock themselves, and go on without it if they do not get
///   it.
/// - Automatic checkpoints are off on every connection, and statements that checkpoint are refused. What remains is
///   SQLite's checkpoint when the last connection is closed. It runs under an exclusive lock of the database file, of
///   which every connection in WAL mode holds a shared lock for as long as it is open, so it is alone.
///
/// The WAL stays bounded with several processes too. Each commit tells its process how long the WAL is, including what
/// others wrote. A process that finds ``SQLiteOptions/checkpointPages`` or more checkpoints before its next write, when it
/// has the write lock anyway, so no other process can starve it. The commit after a complete checkpoint begins the WAL
/// anew, and `journal_size_limit` cuts the file then. A long read of any process delays that until it ends; reads that
/// overlap without a gap are paused (see ``isOverdue``).
///
/// Used on the writer thread only; the mutex is there to satisfy the compiler.
final class Checkpointer: Sendable {
    /// The length of the WAL in pages, as reported after each commit of the writer.
    private struct State {
        var pages = 0
        /// The length at which to checkpoint.
        var limit: Int
        /// Whether pages were committed since the last complete checkpoint.
        var isIncomplete = true
    }

    /// Its size after it begins anew, in bytes.
    private static let sizeLimit = 8 << 20

    private let connection: SQLiteConnection
    private let interval: Int
    private let state: Mutex<State>

    /// Creates a checkpointer, and lets it observe the commits of the writer.
    /// - Parameters:
    ///   - connection: A connection for checkpoints only.
    ///   - interval: The length of the WAL at which to checkpoint, in pages.
    init(_ connection: SQLiteConnection, interval: Int) {
        self.connection = connection
        self.interval = interval
        state = Mutex(State(limit: interval))
    }

    /// Observes the commits of the writer.
    /// - Precondition: The checkpointer lives until the connection of the writer is closed.
    func observe(_ writer: SQLiteConnection) throws {
        let context = Unmanaged.passUnretained(self).toOpaque()
        try writer.use { connection in
            let database = connection.database
            // Replaces the hook by which SQLite implements automatic checkpoints.
            sqlite3_wal_hook(
                database.sqliteConnection,
                { context, _, _, pages in
                    if let context {
                        Unmanaged<Checkpointer>.fromOpaque(context).takeUnretainedValue().committed(pages: Int(pages))
                    }
                    return SQLITE_OK
                }, context)
            try database.execute(sql: "PRAGMA journal_size_limit = \(Self.sizeLimit)")
        }
    }

    private func committed(pages: Int) {
        state.withLock { state in
            // Shorter: the WAL has begun anew.
            if pages < state.pages { state.limit = interval }
            state.pages = pages
            state.isIncomplete = true
        }
    }

    /// The length of the WAL after the last commit of this process, in pages.
    var pages: Int { state.withLock { $0.pages } }

    /// Whether to checkpoint before the next write.
    var isDue: Bool { state.withLock { $0.pages >= $0.limit } }

    /// Whether there is something to checkpoint when the writer is idle.
    var isIncomplete: Bool { state.withLock { $0.isIncomplete } }

    /// Whether the WAL is worth cutting when the writer is idle.
    var isLong: Bool { state.withLock { $0.pages >= 2 * interval } }

    /// Whether reads that overlap have kept the WAL from beginning anew for a long time.
    var isOverdue: Bool { state.withLock { $0.pages >= 8 * interval } }

    /// Checkpoints. The writer must be in a transaction that it began by `BEGIN IMMEDIATE` and in which it has written
    /// nothing, and must end the transaction before it writes, because only a new one can begin the WAL anew.
    func run() {
        // A failure is not final: the next write tries again.
        let (total, copied) = (try? connection.use { try Self.checkpoint($0.database) }) ?? (-1, -1)
        state.withLock { state in
            // Not before each commit, if a reader still needs the pages.
            state.limit = max(state.pages, total) + interval
            state.isIncomplete = total < 0 || copied < total
        }
    }

    private static func checkpoint(_ database: GRDB.Database) throws -> (total: Int, copied: Int) {
        var (total, copied): (CInt, CInt) = (-1, -1)
        let code = sqlite3_wal_checkpoint_v2(
            database.sqliteConnection, nil, SQLITE_CHECKPOINT_PASSIVE, &total, &copied)
        guard code == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
        return (Int(total), Int(copied))
    }

    func close() { connection.close() }
}
