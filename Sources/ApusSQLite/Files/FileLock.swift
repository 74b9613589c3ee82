import ApusCore
import Foundation

/// An advisory lock beside a database file, `<file>-apus-lock`. The kernel releases it when the process ends, however it
/// ends.
///
/// Every open database holds it shared. Restoring a backup replaces the file, so it needs the lock exclusively. The file
/// stays when the lock is released: deleting it would let two processes lock different files of the same name.
///
/// The lock is `flock(2)` on a file of its own. On the database file itself, closing our descriptor would release the
/// POSIX locks that SQLite holds for the whole process.
struct FileLock: ~Copyable, Sendable {
    enum Mode { case shared, exclusive }

    private let descriptor: CInt

    /// Acquires the lock without waiting.
    /// - Throws: An `AppError` of code `unavailable` if another process holds it, or the file cannot be created.
    init(besides path: String, _ mode: Mode) throws {
        let lockPath = Self.resolved(path) + "-apus-lock"
        let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw AppError(
                .unavailable, "Cannot open the database \(path): its lock file \(lockPath) cannot be created.",
                cause: POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO))
        }
        guard flock(descriptor, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
            Foundation.close(descriptor)
            throw AppError(
                .unavailable,
                mode == .shared
                    ? "Cannot open the database \(path): it is being restored from a backup."
                    : "The database \(path) is open in a process. Stop all processes that use it first.")
        }
        self.descriptor = descriptor
    }

    deinit {
        // A program that another thread is starting just now has inherited the descriptor until it is executed. The lock
        // would be held until then.
        flock(descriptor, LOCK_UN)
        Foundation.close(descriptor)
    }

    /// Returns the path behind symbolic links, which SQLite follows too: its other files lie beside the real file.
    static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}
