import ApusCore
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
            let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
            guard mode == "wal" else {
                throw AppError(.unavailable, "The file system does not support write-ahead logging.")
            }
        }
        try database.execute(sql: "PRAGMA synchronous = \(options.durability.rawValue)")
    }
}
