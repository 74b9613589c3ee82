import ApusTesting
import Foundation
import Synchronization

/// The real binary, in a folder of its own.
final class TrackerProcess: Sendable {
    /// What the binary printed, line by line.
    private struct Output {
        var lines: [String] = []
        var rest = ""
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

    /// Spawned and waited for by hand: Foundation's `Process` may miss the end of one that ends at once.
    /// - Parameters:
    ///   - folder: The working directory, where `data` is.
    ///   - arguments: The verb, if any, and flags.
    init(in folder: URL, _ arguments: [String]) throws {
        let binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "delivery-tracker").path
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(output: ["pipe: \(errno)"]) }
        // Or the next process would inherit them, and the end of this one would not be seen before that one's.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO)
        // The shell changes the folder and then becomes the binary.
        let shell = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder.path, binary]
        var words = (shell + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, shell[0], &actions, nil, &words, environ)
        close(ends[1])
        self.pid = pid
        guard result == 0 else {
            close(ends[0])
            throw Failure(output: ["\(binary) cannot be started: \(result)"])
        }
        let source = ends[0]
        Thread.detachNewThread { self.follow(source) }
    }

    /// Reads what the process prints until it ends, and then learns how it ended.
    private func follow(_ source: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            received(Data(buffer.prefix(max(0, count))))
            if count <= 0 { break }
        }
        close(source)
        var ended: Int32 = 0
        while waitpid(pid, &ended, 0) < 0 && errno == EINTR {}
        // The low seven bits are the signal; without one, the next byte is the exit code (wait(2)).
        let code = ended & 0x7F == 0 ? ended >> 8 & 0xFF : -(ended & 0x7F)
        status.withLock { $0 = code }
        exit.open()
    }

    /// Starts the server on a free port and waits until it listens.
    static func serving(
        in folder: URL, _ arguments: [String] = [], verb: String? = nil
    ) async throws -> (TrackerProcess, port: Int) {
        let common = ["--http-port=0", "--auth-password-cost=4", "--jobs-lease=1s"]
        let process = try TrackerProcess(in: folder, [verb].compactMap { $0 } + common + arguments)
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

    /// The ids of the pushes that were printed, by what they say and about which order.
    var pushes: [String: Set<String>] {
        lines.filter { $0.hasPrefix("PUSH ") }.reduce(into: [:]) { result, line in
            let words = line.split(separator: " ", maxSplits: 4)
            guard words.count == 5 else { return }
            result["\(words[3]) \(words[4])", default: []].insert(String(words[1]))
        }
    }

    /// Waits for lines.
    /// - Returns: Whether they came before the output ended, or the test was cancelled.
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

    /// Waits for the end.
    /// - Returns: The exit code, or the signal as a negative number.
    func ended() async throws -> Int32 {
        try await exit.wait()
        return status.withLock { $0 }
    }

    private func received(_ data: Data) {
        let met = output.withLock { output -> [(CheckedContinuation<Bool, Never>, Bool)] in
            output.rest += String(decoding: data, as: UTF8.self)
            while let end = output.rest.firstIndex(of: "\n") {
                output.lines.append(String(output.rest[..<end]))
                output.rest = String(output.rest[output.rest.index(after: end)...])
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

/// A folder that is removed afterwards.
func withFolder<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "delivery-tracker-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}
