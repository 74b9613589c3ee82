import ApusTesting
import Foundation
import Synchronization

/// A process of the real binary, with its own working directory.
final class TrackerProcess: Sendable {
    /// The output of the binary, by line.
    private struct Output {
        var lines: [String] = []
        var incompleteLine = ""
        var isFinished = false
        var waiters: [(id: Int, isMet: @Sendable ([String]) -> Bool, continuation: CheckedContinuation<Bool, Never>)] =
            []
        private var lastID = 0

        mutating func nextID() -> Int {
            lastID += 1
            return lastID
        }
    }

    private let pid: pid_t
    private let status = Mutex<Int32>(0)
    private let output = Mutex(Output())
    private let exit = Gate()

    /// Starts the binary with `posix_spawn`, because Foundation's `Process` may miss the exit of a process that exits
    /// at once.
    /// - Parameters:
    ///   - folder: The working directory, which will contain `data`.
    ///   - arguments: The command, if any, and flags.
    init(in folder: URL, _ arguments: [String]) throws {
        let binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "delivery-tracker").path
        var descriptors: [Int32] = [0, 0]
        guard pipe(&descriptors) == 0 else { throw Failure(output: ["pipe: \(errno)"]) }
        // Otherwise the next process would inherit the pipe and keep it open after the exit of this process.
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, descriptors[1], STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, descriptors[1], STDERR_FILENO)
        // The shell changes the working directory and replaces itself with the binary.
        let shell = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder.path, binary]
        var words = (shell + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, shell[0], &actions, nil, &words, environ)
        close(descriptors[1])
        self.pid = pid
        guard result == 0 else {
            close(descriptors[0])
            throw Failure(output: ["\(binary) could not be started: error \(result)"])
        }
        let source = descriptors[0]
        Thread.detachNewThread { self.readOutput(from: source) }
    }

    /// Reads the output of the process until it exits, and then its exit status.
    private func readOutput(from source: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            append(Data(buffer.prefix(max(0, count))))
            if count <= 0 { break }
        }
        close(source)
        var waitStatus: Int32 = 0
        while waitpid(pid, &waitStatus, 0) < 0 && errno == EINTR {}
        // The low seven bits are the signal; without one, the next byte is the exit code (wait(2)).
        let code = waitStatus & 0x7F == 0 ? waitStatus >> 8 & 0xFF : -(waitStatus & 0x7F)
        status.withLock { $0 = code }
        exit.open()
    }

    /// Starts the server on a free port and waits until it listens.
    static func startServer(
        in folder: URL, _ arguments: [String] = [], command: String? = nil
    ) async throws -> (TrackerProcess, port: Int) {
        let common = ["--http-port=0", "--auth-password-cost=4", "--jobs-lease=1s"]
        let process = try TrackerProcess(in: folder, [command].compactMap { $0 } + common + arguments)
        guard await process.wait(for: { $0.contains { $0.contains(" listening ") } }),
            let line = process.lines.first(where: { $0.contains(" listening ") }),
            let port = line.split(separator: "address=127.0.0.1:").last.flatMap({ Int($0.prefix { $0.isNumber }) })
        else { throw Failure(output: process.lines) }
        return (process, port)
    }

    struct Failure: Error {
        let output: [String]
    }

    var lines: [String] { output.withLock { $0.lines } }

    /// The ids of the printed pushes, by order and text.
    var pushes: [String: Set<String>] {
        lines.filter { $0.hasPrefix("PUSH ") }.reduce(into: [:]) { result, line in
            let words = line.split(separator: " ", maxSplits: 4)
            guard words.count == 5 else { return }
            result["\(words[3]) \(words[4])", default: []].insert(String(words[1]))
        }
    }

    /// Waits until the printed lines meet a condition.
    /// - Returns: `false` if the output ended or the task was cancelled before.
    func wait(for isMet: @escaping @Sendable ([String]) -> Bool) async -> Bool {
        let id = output.withLock { $0.nextID() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: Bool? = output.withLock { output in
                    if isMet(output.lines) { return true }
                    if output.isFinished || Task.isCancelled { return false }
                    output.waiters.append((id, isMet, continuation))
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            let waiter = output.withLock { output in
                output.waiters.firstIndex { $0.id == id }.map { output.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume(returning: false)
        }
    }

    func send(_ signal: Int32) { kill(pid, signal) }

    /// Waits for the process to exit.
    /// - Returns: The exit code, or the signal that ended the process as a negative number.
    func waitForExit() async throws -> Int32 {
        try await exit.wait()
        return status.withLock { $0 }
    }

    private func append(_ data: Data) {
        let met = output.withLock { output -> [(CheckedContinuation<Bool, Never>, Bool)] in
            output.incompleteLine += String(decoding: data, as: UTF8.self)
            while let end = output.incompleteLine.firstIndex(of: "\n") {
                output.lines.append(String(output.incompleteLine[..<end]))
                output.incompleteLine = String(output.incompleteLine[output.incompleteLine.index(after: end)...])
            }
            output.isFinished = data.isEmpty
            let (lines, isFinished) = (output.lines, output.isFinished)
            let done = output.waiters.filter { isFinished || $0.isMet(lines) }
            output.waiters.removeAll { waiter in done.contains { $0.id == waiter.id } }
            return done.map { ($0.continuation, $0.isMet(lines)) }
        }
        for (continuation, result) in met { continuation.resume(returning: result) }
    }
}

/// Runs the body with a new folder, which is removed afterwards.
func withFolder<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "delivery-tracker-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}
