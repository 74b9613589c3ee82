import FoundationEssentials
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file of its own in the temporary folder, removed when nobody refers to it any more.
final class TemporaryFile: Sendable {
    let path: String
    let file: OpenFile

    private init(path: String, file: OpenFile) {
        self.path = path
        self.file = file
    }

    static func make() async throws -> TemporaryFile {
        let folder = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let path = "\(folder)/apus-\(UUID().uuidString)"
        return TemporaryFile(path: path, file: try await .new(path))
    }

    /// A system call of a few microseconds; there is nobody to wait for it.
    deinit { unlink(path) }
}
