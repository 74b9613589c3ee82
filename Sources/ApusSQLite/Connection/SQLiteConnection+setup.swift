import ApusCore
import Foundation
import GRDB

extension SQLiteConnection {
    /// What a connection is for.
    enum Purpose: String, Sendable {
        case writing = "writer"
        case reading = "reader"
        case checkpoints = "checkpoints"
    }

    /// Sets up a connection.
    ///
    /// | setting | value | why |
    /// | --- | --- | --- |
    /// | `wal_autocheckpoint` | 0 | first of all, since the next statement may commit; see ``Checkpointer`` |
    /// | `journal_mode` | `WAL` | readers and the writer do not wait for each other |
    /// | `synchronous` | ``SQLiteOptions/durability`` | checkpoints sync as commits do |
    /// | `foreign_keys` | on, by GRDB | SQLite ignores them by default |
    static func setUp(_ database: GRDB.Database, for purpose: Purpose, inMemory: Bool, _ options: SQLiteOptions) throws
    {
        try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
        guard purpose != .reading else { return }
        if !inMemory {
            let mode = try setWriteAheadLog(database, timeout: options.busyTimeout)
            guard mode == "wal" else {
                throw AppError(.unavailable, "The file system does not support write-ahead logging.")
            }
        }
        try database.execute(sql: "PRAGMA synchronous = \(options.durability.rawValue)")
    }

    /// Makes the database use a write-ahead log. While several connections open a new file at once, SQLite reports that it
    /// is locked without asking the busy handler.
    /// - Returns: The mode of the file.
    private static func setWriteAheadLog(_ database: GRDB.Database, timeout: Duration) throws -> String? {
        let start = ContinuousClock.now
        while true {
            do {
                return try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
                guard start.duration(to: .now) < timeout else { throw error }
                usleep(5000)
            }
        }
    }
}
