import ApusCore
public import ApusData
import Foundation

/// Opens `sqlite:` URLs: `sqlite:data/app.sqlite` is a file, `sqlite::memory:` an in-memory database, which is lost
/// when the process ends.
public struct SQLiteEngine: DatabaseEngine {
    private let options: SQLiteOptions

    public init(_ options: SQLiteOptions = SQLiteOptions()) { self.options = options }

    public var schemes: [String] { ["sqlite"] }

    public func open(_ url: String) throws -> any Database {
        let prefix = url.starts(withBytesOf: "sqlite://") ? "sqlite://" : "sqlite:"
        let path = Substring(url.utf8.dropFirst(prefix.utf8.count))
        guard !path.isEmpty else {
            throw AppError(
                .invalidArgument, "\"\(url)\" has no file path; write it as sqlite:data/app.sqlite or sqlite::memory:.")
        }
        if path != ":memory:" {
            let folder = URL(filePath: String(path)).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        return try SQLiteDatabase(path: String(path), options: options)
    }
}

/// Options of a SQLite database.
public struct SQLiteOptions: Sendable {
    /// The failures that a commit survives.
    public enum Durability: String, Sendable {
        /// A crash of the process and a power failure.
        case power = "FULL"
        /// A crash of the process. After a power failure, the latest commits may be lost.
        case process = "NORMAL"
    }

    /// The failures that a commit survives. A power failure by default.
    public var durability = Durability.power
    /// The number of reader threads. 2.
    public var readers = 2
    /// The maximum time that a statement waits for a lock of another process. 5 seconds.
    public var busyTimeout = Duration.seconds(5)
    /// The maximum idle time of an open transaction, after which it is rolled back. 30 seconds.
    public var idleTransactionLimit = Duration.seconds(30)
    /// The maximum number of single writes that are committed together. 256.
    public var groupedWrites = 256

    public init() {}
}
