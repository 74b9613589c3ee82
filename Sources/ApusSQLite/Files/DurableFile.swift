import ApusCore
import Foundation

/// Changes of files that a power failure cannot undo.
enum DurableFile {
    /// Writes what the system still buffers of a file to disk. Never call it for a file that SQLite has open: closing the
    /// descriptor would release the locks of the process.
    static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(path) }
    }

    /// Renames a file in its folder, and writes the folder to disk.
    /// - Throws: An `AppError` of code `alreadyExists` if there is a file of the new name that is not to be replaced.
    static func rename(_ path: String, to newPath: String, replacing: Bool) throws {
        if replacing {
            guard Foundation.rename(path, newPath) == 0 else { throw failure(newPath) }
        } else {
            // Unlike `rename`, `link` fails if the new name exists.
            guard link(path, newPath) == 0 else {
                if errno == EEXIST { throw AppError(.alreadyExists, "The file \(newPath) exists.") }
                throw failure(newPath)
            }
            unlink(path)
        }
        try sync(URL(filePath: newPath).deletingLastPathComponent().path)
    }

    private static func failure(_ path: String) -> AppError {
        AppError(
            .unavailable, "The file \(path) cannot be written.",
            cause: POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO))
    }
}
