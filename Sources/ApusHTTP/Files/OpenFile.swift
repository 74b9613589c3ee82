import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An open file, closed when nobody refers to it any more. Whatever blocks happens on NIO's pool of threads.
///
/// Not NIO's own file handles: one that is let go of unclosed, as by a cancelled request, ends the process there.
final class OpenFile: Sendable {
    /// What is known of a file.
    struct Information: Sendable {
        let isRegular: Bool
        let size: Int
        /// Of the last change, since 1970.
        let seconds: Int
        let nanoseconds: Int
        let inode: UInt64
    }

    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Why the system would not.
    struct Failure: Error, CustomStringConvertible {
        let code: Int32
        let path: String
        var description: String { "\(path): \(String(cString: strerror(code)))" }
        var isMissing: Bool { code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG || code == ELOOP }
        var isForbidden: Bool { code == EACCES }
    }

    static func forReading(_ path: String) async throws -> OpenFile {
        // Not blocking: a FIFO would have its reader wait for a writer.
        try await open(path, O_RDONLY | O_NONBLOCK)
    }

    /// A new file under a path where nothing is yet, for its owner's eyes alone.
    static func new(_ path: String) async throws -> OpenFile {
        try await open(path, O_RDWR | O_CREAT | O_EXCL)
    }

    private static func open(_ path: String, _ flags: Int32) async throws -> OpenFile {
        try await onPool {
            while true {
                let descriptor = systemOpen(path, flags | O_CLOEXEC, 0o600)
                if descriptor >= 0 { return OpenFile(descriptor) }
                guard errno == EINTR else { throw Failure(code: errno, path: path) }
            }
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

    /// Bytes from a place on; fewer at the end of the file, none past it.
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

    /// Adds bytes at the end.
    func write(_ bytes: ByteBuffer) async throws {
        try await Self.onPool { [self] in
            try bytes.withUnsafeReadableBytes { memory in
                var done = 0
                while done < memory.count {
                    let written = systemWrite(descriptor, memory.baseAddress?.advanced(by: done), memory.count - done)
                    if written >= 0 {
                        done += written
                    } else if errno != EINTR {
                        throw Failure(code: errno, path: "write")
                    }
                }
            }
        }
    }

    static func onPool<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(work)
    }
}

// The system's functions by names of their own: methods of the same name hide them.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
