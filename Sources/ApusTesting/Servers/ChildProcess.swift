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
/// Foundation's `Process` is not used: it watches the end of a program and of its output by sources of events that it
/// releases early, so that one end in some hundred is never reported.
struct ChildProcess: Sendable {
    private let id: pid_t

    /// Starts a program, which is found in the `PATH`.
    /// - Parameter input: A file descriptor, or `nil` for an empty input.
    /// - Throws: An `AppError` of code `unavailable`.
    init(_ arguments: [String], input: Int32? = nil, output: Int32, errors: Int32) throws {
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
        // Threads of a pool block signals, among them the one by which a shell learns that its child has ended.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var words = arguments.map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        var id: pid_t = 0
        let error = posix_spawnp(&id, arguments[0], &actions, &attributes, words, environ)
        guard error == 0 else { throw Self.failure("start \(arguments[0])", error) }
        self.id = id
    }

    /// Blocks until the program has ended. Must be called once.
    /// - Returns: Whether it has ended with status 0.
    @discardableResult
    func wait() -> Bool {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status == 0
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
