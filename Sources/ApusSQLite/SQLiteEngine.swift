import ApusCore
public import ApusData
import Foundation

/// Opens `sqlite:` URLs: `sqlite:data/app.sqlite` is a file, `sqlite::memory:` lives as long as the process.
public struct SQLiteEngine: DatabaseEngine {
    private let options: SQLiteOptions

    public init(_ options: SQLiteOptions = SQLiteOptions()) { self.options = options }

    public var schemes: [String] { ["sqlite"] }

    public func open(_ url: String) throws -> any Database {
        let path = url.hasPrefix("sqlite://") ? url.dropFirst("sqlite://".count) : url.dropFirst("sqlite:".count)
        guard !path.isEmpty else {
            throw AppError(.invalidArgument, "\(url) names no file; sqlite:data/app.sqlite would.")
        }
        if path != ":memory:" {
            let folder = URL(filePath: String(path)).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        return try SQLiteDatabase(path: String(path), options: options)
    }
}

/// How an SQLite database is used.
public struct SQLiteOptions: Sendable {
    /// What a commit survives.
    public enum Durability: String, Sendable {
        /// The end of the process and the loss of power.
        case power = "FULL"
        /// The end of the process. After a loss of power the last commits may be missing.
        case process = "NORMAL"
    }

    /// What a commit survives: by default everything.
    public var durability = Durability.power
    /// The number of threads that read at the same time. 2.
    public var readers = 2
    /// How long a statement waits for another process's lock. 5 seconds.
    public var busyTimeout = Duration.seconds(5)
    /// How long an open transaction may do nothing. 30 seconds; past it, it is rolled back.
    public var idleTransactionLimit = Duration.seconds(30)
    /// The most single writes that are committed together. 256.
    public var groupedWrites = 256

    public init() {}
}
