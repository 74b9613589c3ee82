import ApusCore
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A program that this process has started, and has to wait for.
///
/// It inherits only the descriptors that it is given, and no blocked signals.
///
/// Foundation's `Process` is not used: it watches the end of a program and of its output by sources of events that it
/// releases early, so that one end in some hundred is never reported.
public struct ChildProcess: Sendable {
    /// The id of its process.
    public let id: Int32

    /// Starts a program, which is found in the `PATH`.
    /// - Parameters:
    ///   - arguments: The program and its arguments.
    ///   - input: A file descriptor, or `nil` for an empty input.
    ///   - output: The file descriptor of the standard output.
    ///   - errors: The file descriptor of the standard error.
    /// - Throws: An `AppError` of code `unavailable`.
    public init(_ arguments: [String], input: Int32? = nil, output: Int32, errors: Int32) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        Self.closeOthers(&actions)
        // Threads of a pool block signals, among them the one by which a shell learns that its child has ended.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        #if canImport(Darwin)
            let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_CLOEXEC_DEFAULT
        #else
            let flags = POSIX_SPAWN_SETSIGMASK
        #endif
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var words = arguments.map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        var id: pid_t = 0
        let error = posix_spawnp(&id, arguments[0], &actions, &attributes, words, environ)
        guard error == 0 else { throw Self.failure("start \(arguments[0])", error) }
        self.id = id
    }

    /// Makes the program inherit no other descriptors. The sockets of NIO lack the flag for that, and a connection that
    /// this process closes would stay open as long as the program runs.
    private static func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
        #if !canImport(Darwin)
            let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
            let highest = open.compactMap { Int32($0) }.max() ?? 2
            // Some more, because other threads open files just now. To close what is not open is no error.
            for descriptor in 3...max(3, highest + 32) { posix_spawn_file_actions_addclose(&actions, descriptor) }
        #endif
    }

    /// Sends a signal, such as `SIGTERM`.
    public func signal(_ number: Int32) { kill(id, number) }

    /// Blocks until the program has ended. Must be called once.
    /// - Returns: The exit status, or the signal that ended it as a negative number.
    @discardableResult
    public func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        // The low seven bits are the signal; without one, the next byte is the exit status (wait(2)).
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    }

    /// Starts a program whose output can be read.
    /// - Returns: The program, and a descriptor for ``read(_:_:)`` with its standard output and its standard error.
    /// - Throws: An `AppError` of code `unavailable`.
    public static func start(_ arguments: [String]) throws -> (ChildProcess, output: Int32) {
        let (reader, output) = try pipe()
        // Otherwise the end of the output would not be noticed.
        defer { close(output) }
        do {
            return (try ChildProcess(arguments, output: output, errors: output), reader)
        } catch {
            close(reader)
            throw error
        }
    }

    /// Reads the output of a program to its end, and closes the descriptor. Blocks.
    public static func read(_ descriptor: Int32, _ received: ([UInt8]) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            received(Array(buffer[..<count]))
        }
        close(descriptor)
    }

    /// A pair of connected file descriptors that programs do not inherit unless they are given one.
    static func pipe() throws -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [0, 0]
        #if canImport(Darwin)
            let result = socketpair(AF_UNIX, SOCK_STREAM, 0, &ends)
            for end in ends {
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                var isOn: Int32 = 1
                setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &isOn, socklen_t(MemoryLayout<Int32>.size))
            }
        #else
            // Sockets have the flag from the start: another test may start a program just now.
            #if canImport(Glibc)
                let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            #else
                let type = SOCK_STREAM | SOCK_CLOEXEC
            #endif
            let result = socketpair(AF_UNIX, type, 0, &ends)
        #endif
        guard result == 0 else { throw failure("create a pipe", errno) }
        return (ends[0], ends[1])
    }

    /// Writes a short text to a pipe. Has no effect if the other end is closed.
    static func write(_ text: String, to pipe: Int32) {
        #if canImport(Darwin)
            _ = send(pipe, text, text.utf8.count, 0)
        #else
            _ = send(pipe, text, text.utf8.count, Int32(MSG_NOSIGNAL))
        #endif
    }

    private static func failure(_ action: String, _ error: Int32) -> AppError {
        AppError(.unavailable, "Cannot \(action): \(String(cString: strerror(error)))")
    }
}

/// Runs a closure that blocks on a thread of its own.
func onOwnThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result(catching: body)) }
    }
}
