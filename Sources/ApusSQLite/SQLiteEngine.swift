import ApusCore
public import ApusData
import Foundation

/// Opens `sqlite:` URLs: `sqlite:data/app.sqlite` is a file, `sqlite::memory:` an in-memory database, which is lost
/// when the process ends.
public struct SQLiteEngine: DatabaseEngine {
    private let options: SQLiteOptions

    public init(_ options: SQLiteOptions = SQLiteOptions()) { self.options = options }

    public var schemes: [String] { ["sqlite"] }

    public func open(_ url: String) throws -> any Database { try open(url, options) }

    public func open(_ url: String, _ settings: DatabaseSettings) throws -> any Database {
        var options = options
        options.slowQuery = settings.slowQuery
        return try open(url, options)
    }

    /// Replaces the file by a backup. All processes that use it must have stopped.
    public func restore(_ url: String, from path: String) async throws {
        let target = try Self.path(of: url)
        guard target != ":memory:" else {
            throw AppError(.invalidArgument, "A database in memory cannot be restored.")
        }
        try Self.createFolder(of: target)
        try await SQLiteRestore(path: target, backup: path, options: options).run()
    }

    private func open(_ url: String, _ options: SQLiteOptions) throws -> any Database {
        let path = try Self.path(of: url)
        if path != ":memory:" { try Self.createFolder(of: path) }
        return try SQLiteDatabase(path: path, options: options)
    }

    private static func path(of url: String) throws -> String {
        let prefix = url.starts(withBytesOf: "sqlite://") ? "sqlite://" : "sqlite:"
        let path = Substring(url.utf8.dropFirst(prefix.utf8.count))
        guard !path.isEmpty else {
            throw AppError(
                .invalidArgument, "\"\(url)\" has no file path; write it as sqlite:data/app.sqlite or sqlite::memory:.")
        }
        return String(path)
    }

    private static func createFolder(of path: String) throws {
        let folder = URL(filePath: path).deletingLastPathComponent()
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw AppError(
                .unavailable, "The folder of the database, \(folder.path), cannot be created.", cause: error)
        }
    }
}
