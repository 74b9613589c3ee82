import ApusCore
import Foundation
import GRDBSQLite
import Synchronization

/// Notices when a database file or its write-ahead log was deleted, moved or replaced while it is open. What is written to
/// a file without a name is lost with the process, and SQLite does not look in this mode.
final class FileIdentity: Sendable {
    private let logPath: String
    /// The file number of the log, once there is one. It stays until the last connection is closed, and is not given to
    /// another file meanwhile.
    private let logNumber = Mutex<UInt64?>(nil)

    init(of path: String) { logPath = FileLock.resolved(path) + "-wal" }

    /// Checks that the files of a connection are still those of their paths.
    /// - Throws: An `AppError` of code `unavailable`.
    func check(_ connection: OpenConnection) throws {
        var hasMoved: CInt = 0
        sqlite3_file_control(connection.handle, "main", SQLITE_FCNTL_HAS_MOVED, &hasMoved)
        guard hasMoved == 0, isLogSame else {
            throw AppError(
                .unavailable,
                "The file of the database, or its -wal file, was deleted or replaced while it was open. Restart the program."
            )
        }
    }

    private var isLogSame: Bool {
        var status = stat()
        let number: UInt64? = stat(logPath, &status) == 0 ? UInt64(status.st_ino) : nil
        return logNumber.withLock { known in
            known = known ?? number
            return known == number
        }
    }
}
