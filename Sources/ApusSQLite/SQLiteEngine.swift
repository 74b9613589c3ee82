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
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            } catch {
                throw AppError(
                    .unavailable, "The folder of the database, \(folder.path), cannot be created.", cause: error)
            }
        }
        return try SQLiteDatabase(path: String(path), options: options)
    }
}
