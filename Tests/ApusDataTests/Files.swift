import Foundation

/// Removes a database with all of its files.
func removeDatabase(_ path: String) {
    for suffix in ["", "-wal", "-shm", "-apus-lock"] { try? FileManager.default.removeItem(atPath: path + suffix) }
}

/// Runs a closure with a temporary folder, which is removed afterwards.
func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-data-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try await body(folder)
}
