import FoundationEssentials
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A new file in the temporary directory, which is removed on deinitialization.
final class TemporaryFile: Sendable {
    let path: String
    let file: OpenFile

    private init(path: String, file: OpenFile) {
        self.path = path
        self.file = file
    }

    static func make() async throws -> TemporaryFile {
        let directory = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let path = "\(directory)/apus-\(UUID().uuidString)"
        return TemporaryFile(path: path, file: try await .new(path))
    }

    /// Removes the file synchronously: the call takes a few microseconds, and `deinit` cannot suspend.
    deinit { unlink(path) }
}
