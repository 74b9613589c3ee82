import ApusCore
import Foundation
import GRDB

/// Replaces a database file by a backup.
struct SQLiteRestore: Sendable {
    let path: String
    let backup: String
    let options: SQLiteOptions

    /// Restores the backup on a thread of its own.
    /// - Throws: An `AppError` of code `unavailable` if a process has the database open, of code `notFound` if there is no
    ///   backup, of code `dataLoss` if it is damaged. The database is then as it was.
    func run() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            startThread("apus.sqlite.restore") { continuation.resume(with: Result { try restore() }) }
        }
    }

    private func restore() throws {
        guard FileManager.default.fileExists(atPath: backup) else {
            throw AppError(.notFound, "There is no backup \(backup).")
        }
        // SQLite takes an empty file for an empty database.
        guard let file = FileHandle(forReadingAtPath: backup), let header = try file.read(upToCount: 16),
            header.elementsEqual("SQLite format 3\0".utf8)
        else {
            throw AppError(.dataLoss, "The backup \(backup) is not a SQLite database.")
        }
        let lock = try FileLock(besides: path, .exclusive)
        try replace(holding: lock)
    }

    private func replace(holding lock: borrowing FileLock) throws {
        let copy = path + "-restoring"
        defer { for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: copy + suffix) } }
        try copyFile(backup, to: copy)
        try check(copy)
        try DurableFile.sync(copy)
        try removeLog()
        try DurableFile.rename(copy, to: path, replacing: true)
    }

    private func copyFile(_ source: String, to copy: String) throws {
        do {
            try? FileManager.default.removeItem(atPath: copy)
            try FileManager.default.copyItem(atPath: source, toPath: copy)
        } catch {
            throw AppError(.unavailable, "The backup \(source) cannot be copied to \(copy).", cause: error)
        }
    }

    /// Checks the copy, because a backup is often the only one.
    private func check(_ copy: String) throws {
        let problems: [String]
        do {
            // Its -wal and -shm files, if it has any, disappear when the connection is closed.
            let connection = try SQLiteConnection(path: copy, options: options, for: .checkpoints)
            defer { connection.close() }
            problems = try connection.use { try $0.database.integrityProblems() }
        } catch {
            throw AppError(.dataLoss, "The backup \(backup) is not a sound SQLite database.", cause: error)
        }
        guard problems.isEmpty else {
            throw AppError(.dataLoss, "The backup \(backup) is damaged: \(problems.joined(separator: "; ")).")
        }
    }

    /// Removes the write-ahead log of the replaced database, which SQLite would otherwise apply to the restored one.
    private func removeLog() throws {
        // As the last connection, it moves the log into the file, so that a crash before the rename loses nothing. That
        // fails if the file is damaged, which may be the reason for restoring it.
        if FileManager.default.fileExists(atPath: path) {
            (try? SQLiteConnection(path: path, options: options, for: .checkpoints))?.close()
        }
        for suffix in ["-wal", "-shm", "-journal"] where FileManager.default.fileExists(atPath: path + suffix) {
            do {
                try FileManager.default.removeItem(atPath: path + suffix)
            } catch {
                throw AppError(.unavailable, "The file \(path + suffix) cannot be removed.", cause: error)
            }
        }
    }
}
