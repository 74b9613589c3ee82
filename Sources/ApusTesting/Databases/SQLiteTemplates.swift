import Apus
import Foundation

/// Migrated SQLite databases, each as the bytes of its file.
struct SQLiteTemplates: Sendable {
    static let shared = SQLiteTemplates()

    private let files = ValuesOfMigrations<Data>()

    /// Writes a file that a test opens.
    func copy(_ engine: any DatabaseEngine, _ migrations: [any Migration.Type]) async throws -> DatabaseCopy {
        let content = try await files.value(migrations) { try await Self.make(engine, migrations) }
        let path = Self.newPath()
        try content.write(to: URL(filePath: path))
        return DatabaseCopy(url: "sqlite:\(path)") { Self.remove(path) }
    }

    private static func make(_ engine: any DatabaseEngine, _ migrations: [any Migration.Type]) async throws -> Data {
        let (path, backup) = (newPath(), newPath())
        defer { for path in [path, backup] { remove(path) } }
        let database = try engine.open("sqlite:\(path)")
        do {
            try await database.apply(migrations)
            // Unlike the file itself, it lacks nothing that is still in the write-ahead log.
            try await database.backUp(to: backup)
        } catch {
            await database.close()
            throw error
        }
        await database.close()
        return try Data(contentsOf: URL(filePath: backup))
    }

    private static func newPath() -> String {
        FileManager.default.temporaryDirectory.appending(path: "apus-test-\(UUID()).sqlite").path
    }

    private static func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm", "-apus-lock"] { try? FileManager.default.removeItem(atPath: path + suffix) }
    }
}
