import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A server process of a test. It ends with this process, however this process ends.
///
/// A shell between the two waits for the end of a pipe whose other end only this process holds: when this process stops
/// the server, exits or crashes, the pipe ends and the shell kills the server.
final class SpawnedProcess: Sendable {
    /// The server has ended before it was ready.
    struct EndedEarly: Error, CustomStringConvertible {
        let name: String
        let output: String
        var description: String { "\(name) ended before it was ready. It wrote: \(output)" }
    }

    private struct State {
        /// The end of the pipe that keeps the server running, until it has been stopped.
        var lifeline: Int32?
        var shell: pid_t
    }

    // The shell closes its own output, so that the end of the server is the end of its output.
    private static let script = #""$@" & server=$!; exec >/dev/null 2>&1; read line; kill -KILL $server; wait $server"#

    private let state: Mutex<State>
    private let output: Int32
    private let name: String

    /// Starts a program, which is found in the `PATH`.
    init(_ arguments: [String]) throws {
        name = arguments.first ?? ""
        let (lifelineReader, lifeline) = try Self.pipe()
        let (reader, writer) = try Self.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, lifelineReader, 0)
        posix_spawn_file_actions_adddup2(&actions, writer, 1)
        posix_spawn_file_actions_adddup2(&actions, writer, 2)
        // Threads of a pool block signals, among them the one by which the shell learns that the server has ended.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var words = (["sh", "-c", Self.script, "sh"] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        var shell: pid_t = 0
        let error = posix_spawn(&shell, "/bin/sh", &actions, &attributes, words, environ)
        close(lifelineReader)
        close(writer)
        guard error == 0 else {
            close(lifeline)
            close(reader)
            throw EndedEarly(name: name, output: String(cString: strerror(error)))
        }
        state = Mutex(State(lifeline: lifeline, shell: shell))
        output = reader
    }

    deinit { stop() }

    /// A pipe that other programs do not inherit.
    private static func pipe() throws -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [0, 0]
        #if canImport(Glibc)
            // A pair of sockets, because they have the flag from the start: another test may spawn a program just now.
            let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            let result = socketpair(AF_UNIX, type, 0, &ends)
        #else
            let result = socketpair(AF_UNIX, SOCK_STREAM, 0, &ends)
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        #endif
        guard result == 0 else { throw EndedEarly(name: "pipe", output: String(cString: strerror(errno))) }
        return (ends[0], ends[1])
    }

    /// Waits until the program writes a text. What it writes later is discarded.
    /// - Throws: ``EndedEarly``.
    func wait(for text: String) async throws {
        let (output, name) = (output, name)
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            DispatchQueue(label: "apus.testing.\(name)").async {
                var written: [UInt8] = []
                var isReady = false
                var buffer = [UInt8](repeating: 0, count: 4096)
                while true {
                    let count = read(output, &buffer, buffer.count)
                    if count <= 0 { break }
                    guard !isReady else { continue }
                    written += buffer[..<count]
                    if String(decoding: written, as: UTF8.self).contains(text) {
                        isReady = true
                        continuation.resume()
                    }
                }
                close(output)
                guard !isReady else { return }
                continuation.resume(
                    throwing: EndedEarly(name: name, output: String(decoding: written.suffix(2000), as: UTF8.self)))
            }
        }
    }

    /// Kills the program, and returns when it has ended. Has no effect if it has been stopped before.
    func stop() {
        state.withLock { state in
            guard let lifeline = state.lifeline.take() else { return }
            close(lifeline)
            var status: Int32 = 0
            while waitpid(state.shell, &status, 0) < 0, errno == EINTR {}
        }
    }
}
