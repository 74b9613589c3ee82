import ApusCore
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A server that runs as a process of its own, and ends with this one, however this one ends.
///
/// A shell between the two waits for the end of a pipe whose other end only this process holds: when this process stops
/// the server, exits or crashes, the pipe ends, and the shell stops the server and removes its folder.
final class ServerProcess: Sendable {
    private struct State {
        /// The end of the pipe that keeps the server running, until it is stopped.
        var lifeline: Int32?
        var hasEnded = false
    }

    private let shell: ChildProcess
    private let state: Mutex<State>

    private init(_ shell: ChildProcess, lifeline: Int32) {
        self.shell = shell
        state = Mutex(State(lifeline: lifeline))
    }

    deinit { stop() }

    /// Starts a server and waits until it prints a text. What it prints later is discarded.
    /// - Parameters:
    ///   - command: The program and its arguments.
    ///   - stopSignal: The name of the signal that stops it, such as `INT`.
    ///   - folder: The folder to remove after it has ended.
    /// - Throws: An `AppError` of code `unavailable` with its output if it ends before that, and its folder is removed
    ///   then; also if the task is cancelled.
    static func start(
        _ command: [String], stopSignal: String, removing folder: String, readyWhen text: String
    ) async throws -> ServerProcess {
        // The shell closes its own output, so that the end of the server is the end of the output.
        let script = """
            folder=$1; shift
            "$@" & server=$!
            exec >/dev/null 2>&1
            read -r word
            kill -\(stopSignal) $server
            wait $server
            if [ "$word" != keep ]; then rm -rf "$folder"; fi
            """
        let (input, lifeline) = try ChildProcess.pipe()
        let (reader, output) = try ChildProcess.pipe()
        let words = ["/bin/sh", "-c", script, "sh", folder] + command
        let shell = Result { try ChildProcess(words, input: input, output: output, errors: output) }
        // Otherwise the end of the output would not be noticed.
        close(input)
        close(output)
        let server: ServerProcess
        do {
            server = ServerProcess(try shell.get(), lifeline: lifeline)
        } catch {
            close(lifeline)
            close(reader)
            throw error
        }
        do {
            try await withTaskCancellationHandler {
                try await readiness(reader, text)
            } onCancel: {
                server.letGo()
            }
            return server
        } catch {
            await server.stop()
            throw error
        }
    }

    /// Reads what a server prints, to its end, and returns at a text.
    private static func readiness(_ reader: Int32, _ text: String) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread {
                var printed: [UInt8] = []
                var isReady = false
                ChildProcess.read(reader) { bytes in
                    guard !isReady else { return }
                    printed += bytes
                    guard String(decoding: printed, as: UTF8.self).contains(text) else { return }
                    isReady = true
                    continuation.resume()
                }
                guard !isReady else { return }
                let output = String(decoding: printed.suffix(4096), as: UTF8.self)
                continuation.resume(throwing: AppError(.unavailable, "The server did not start. It printed: \(output)"))
            }
        }
    }

    /// Lets the shell stop the server, without waiting.
    private func letGo(_ word: String = "") {
        state.withLock { state in
            guard let lifeline = state.lifeline.take() else { return }
            if !word.isEmpty { ChildProcess.write(word, to: lifeline) }
            close(lifeline)
        }
    }

    /// Stops the server, and blocks until it has ended.
    /// - Parameter keepsFolder: Whether to leave its folder, so that it can be started again.
    func stop(keepsFolder: Bool = false) {
        letGo(keepsFolder ? "keep\n" : "")
        state.withLock { state in
            guard !state.hasEnded else { return }
            shell.wait()
            state.hasEnded = true
        }
    }

    /// Stops the server, and returns when it has ended.
    func stop(keepsFolder: Bool = false) async {
        try? await onOwnThread { self.stop(keepsFolder: keepsFolder) }
    }
}
