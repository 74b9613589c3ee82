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

/// A server that runs as a process of its own, and ends with this one.
///
/// A shell waits until the pipe to it is closed, which happens even if this process crashes, and then stops the server
/// and removes its folder.
final class ServerProcess: Sendable {
    /// What the server has printed, up to a limit, and who waits for it.
    private struct Output {
        var text = ""
        var isReady = false
        /// Whether the server has ended, and whether its folder is removed.
        var hasEnded = false
        var isCleanedUp = false
        var waiter: CheckedContinuation<Void, any Error>?
        var endWaiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Held while a process is started, so that it does not inherit a pipe to another one.
    private static let spawning = Mutex(())

    private let pipe: Pipe
    /// What the server prints. Kept here, because `Process` releases it when it notices that the server has ended, maybe
    /// before the end of the output was read, which is then never reported.
    private let printed: Pipe
    /// Ends when the shell has ended that cleans up. Kept for the same reason.
    private let cleanup: Pipe
    private let output = Mutex(Output())

    private init(pipe: Pipe, printed: Pipe, cleanup: Pipe) {
        self.pipe = pipe
        self.printed = printed
        self.cleanup = cleanup
    }

    /// Starts a server and waits for a line of its output.
    /// - Parameters:
    ///   - command: The program and its arguments.
    ///   - stopSignal: The name of the signal that stops it.
    ///   - removing: The folder to remove after it has ended.
    static func start(
        _ command: [String], stopSignal: String, removing folder: String, readyWhen line: String
    ) async throws -> ServerProcess {
        // The shell becomes the server. Another one waits until the pipe is closed, and does not rely on SIGCHLD, which
        // is blocked in children of a thread that blocks it.
        let script = """
            folder=$1; shift
            server=$$
            exec 3<&0
            (
                read -r folders <&3
                kill -\(stopSignal) $server
                while kill -0 $server 2>/dev/null; do
                    if grep -q '^State:.Z' /proc/$server/status 2>/dev/null; then break; fi
                    sleep 0.02
                done
                if [ "$folders" != keep ]; then rm -rf "$folder"; fi
            ) >/dev/null &
            exec "$@" 3<&- </dev/null 2>&1
            """
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script, "sh", folder] + command
        let server = try spawning.withLock { _ in
            let (input, text, cleanup) = (Pipe(), Pipe(), Pipe())
            _ = fcntl(input.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
            process.standardInput = input
            process.standardOutput = text
            // The server itself writes its errors to its output.
            process.standardError = cleanup
            let server = ServerProcess(pipe: input, printed: text, cleanup: cleanup)
            text.fileHandleForReading.readabilityHandler = { handle in
                let data = handle.availableData
                if data.isEmpty { handle.readabilityHandler = nil }
                server.received(data, line)
            }
            cleanup.fileHandleForReading.readabilityHandler = { handle in
                guard handle.availableData.isEmpty else { return }
                handle.readabilityHandler = nil
                server.cleanedUp()
            }
            try process.run()
            // Otherwise their ends would not be noticed.
            for pipe in [text, cleanup] { try? pipe.fileHandleForWriting.close() }
            return server
        }
        do {
            try await server.waitUntilReady()
        } catch {
            await server.stop()
            throw error
        }
        return server
    }

    private func waitUntilReady() async throws {
        try await withCheckedThrowingContinuation { continuation in
            let result = output.withLock { output -> Result<Void, any Error>? in
                if output.isReady { return .success(()) }
                if output.hasEnded { return .failure(Self.failure(output.text)) }
                output.waiter = continuation
                return nil
            }
            if let result { continuation.resume(with: result) }
        }
    }

    private static func failure(_ text: String) -> AppError {
        AppError(.unavailable, "The server did not start: \(text)")
    }

    private func received(_ data: Data, _ line: String) {
        let (waiter, isReady, text) = output.withLock { output in
            if output.text.utf8.count < 64 << 10 { output.text += String(decoding: data, as: UTF8.self) }
            if !output.isReady { output.isReady = output.text.contains(line) }
            if data.isEmpty { output.hasEnded = true }
            let isDone = output.isReady || output.hasEnded
            return (isDone ? output.waiter.take() : nil, output.isReady, output.text)
        }
        if isReady { waiter?.resume() } else { waiter?.resume(throwing: Self.failure(text)) }
    }

    private func cleanedUp() {
        let waiters = output.withLock { output in
            output.isCleanedUp = true
            defer { output.endWaiters = [] }
            return output.endWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Stops the server and waits until it has ended.
    /// - Parameter keepsFolder: Whether to leave its folder, so that it can be started again.
    func stop(keepsFolder: Bool = false) async {
        if keepsFolder { try? pipe.fileHandleForWriting.write(contentsOf: Data("keep\n".utf8)) }
        try? pipe.fileHandleForWriting.close()
        await withCheckedContinuation { continuation in
            let isCleanedUp = output.withLock { output in
                if !output.isCleanedUp { output.endWaiters.append(continuation) }
                return output.isCleanedUp
            }
            if isCleanedUp { continuation.resume() }
        }
    }

    /// Runs a program to its end.
    /// - Returns: What it has printed to its standard output, without the last line break.
    /// - Throws: An `AppError` of code `unavailable` with what it has printed to its standard error.
    static func run(_ program: String, _ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        // Into files: a pipe would have to be read on a thread that blocks, until the end of all that have inherited it.
        let (output, errors) = (try CapturedOutput(), try CapturedOutput())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output.handle
        process.standardError = errors.handle
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do { try spawning.withLock { _ in try process.run() } } catch { continuation.resume(throwing: error) }
        }
        let (text, problem) = (try output.take(), try errors.take())
        guard process.terminationStatus == 0 else {
            throw AppError(.unavailable, "\(program) failed: \(problem)")
        }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}

/// A temporary file for what a program prints.
private struct CapturedOutput {
    let handle: FileHandle
    private let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "apus-output-\(UUID())").path
        try Data().write(to: URL(filePath: path), options: .withoutOverwriting)
        handle = try FileHandle(forWritingTo: URL(filePath: path))
    }

    /// Returns the text, and removes the file.
    func take() throws -> String {
        defer { try? FileManager.default.removeItem(atPath: path) }
        try handle.close()
        return String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }
}
