import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An open file, which is closed on deinitialization. Blocking calls run on NIO's thread pool.
///
/// It does not use NIO's file handles, because a handle that is released without being closed, such as by a cancelled
/// request, terminates the process.
final class OpenFile: Sendable {
    /// The metadata of a file.
    struct Information: Sendable {
        let isRegular: Bool
        let size: Int
        /// The seconds of the last modification since 1970.
        let seconds: Int
        /// The nanoseconds within that second.
        let nanoseconds: Int
        let inode: UInt64
    }

    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// An error of a system call.
    struct Failure: Error, CustomStringConvertible {
        let code: Int32
        let path: String
        var description: String { "\(path): \(String(cString: strerror(code)))" }
        var isMissing: Bool { code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG || code == ELOOP }
        var isForbidden: Bool { code == EACCES }
    }

    /// Opens an existing file for reading.
    static func forReading(_ path: String) async throws -> OpenFile {
        // Non-blocking, because opening a FIFO would wait for a writer.
        try await open(path, O_RDONLY | O_NONBLOCK)
    }

    /// Opens an existing file below a directory for reading. None of the names may be that of a symbolic link, not even of
    /// one that appears while the file is opened.
    ///
    /// The process needs the permission to read the directory and those on the way to the file.
    /// - Parameters:
    ///   - names: The names of the directories on the way and of the file. None of them contains a slash or is `..`.
    ///   - directory: The path of the directory. It is trusted, and may contain symbolic links.
    static func forReading(_ names: [String], below directory: String) async throws -> OpenFile {
        try await onPool {
            var current = try opened(directory) { systemOpen(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) }
            for (index, name) in names.enumerated() {
                // Non-blocking, because opening a FIFO would wait for a writer.
                let kind = index == names.count - 1 ? O_NONBLOCK : O_DIRECTORY
                let parent = current
                current = try withExtendedLifetime(parent) {
                    try opened(name) {
                        systemOpenAt(parent.descriptor, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind)
                    }
                }
            }
            return current
        }
    }

    /// Creates a file that only its owner can read and write. Fails if the path exists.
    static func new(_ path: String) async throws -> OpenFile {
        try await open(path, O_RDWR | O_CREAT | O_EXCL)
    }

    private static func open(_ path: String, _ flags: Int32) async throws -> OpenFile {
        try await onPool { try opened(path) { systemOpen(path, flags | O_CLOEXEC, 0o600) } }
    }

    /// Calls a system function that opens a file, and repeats it if a signal interrupts it.
    private static func opened(_ path: String, _ open: () -> Int32) throws -> OpenFile {
        while true {
            let descriptor = open()
            if descriptor >= 0 { return OpenFile(descriptor) }
            guard errno == EINTR else { throw Failure(code: errno, path: path) }
        }
    }

    func information() async throws -> Information {
        try await Self.onPool { [self] in
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw Failure(code: errno, path: "stat") }
            #if canImport(Darwin)
                let time = status.st_mtimespec
            #else
                let time = status.st_mtim
            #endif
            return Information(
                isRegular: status.st_mode & S_IFMT == S_IFREG, size: Int(status.st_size), seconds: Int(time.tv_sec),
                nanoseconds: Int(time.tv_nsec), inode: UInt64(status.st_ino))
        }
    }

    /// Reads bytes at an offset. Returns fewer than `count` at the end of the file, and none beyond it.
    func read(from offset: Int, count: Int) async throws -> ByteBuffer {
        try await Self.onPool { [self] in
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            let read = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
                while true {
                    let read = pread(descriptor, memory.baseAddress, count, off_t(offset))
                    if read >= 0 { return read }
                    guard errno == EINTR else { throw Failure(code: errno, path: "read") }
                }
            }
            assert(read <= count)
            return buffer
        }
    }

    /// Writes bytes at the current position.
    func write(_ bytes: ByteBuffer) async throws {
        try await Self.onPool { [self] in
            try bytes.withUnsafeReadableBytes { memory in
                var count = 0
                while count < memory.count {
                    let written = systemWrite(descriptor, memory.baseAddress?.advanced(by: count), memory.count - count)
                    if written >= 0 {
                        count += written
                    } else if errno != EINTR {
                        throw Failure(code: errno, path: "write")
                    }
                }
            }
        }
    }

    /// Runs blocking work on NIO's thread pool.
    static func onPool<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(work)
    }
}

// Wrappers of system functions that are hidden by methods of the same name.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
private func systemOpenAt(_ directory: Int32, _ name: String, _ flags: Int32) -> Int32 {
    openat(directory, name, flags)
}
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
