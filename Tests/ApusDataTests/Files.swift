import Foundation

func removeFile(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

/// Runs a closure with a temporary folder, which is removed afterwards.
func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-data-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try await body(folder)
}
