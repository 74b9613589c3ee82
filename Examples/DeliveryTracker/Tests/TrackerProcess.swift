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

    private let process: ChildProcess
    private let status = Mutex<Int32>(0)
    private let output = Mutex(Output())
    private let exit = Gate()

    /// Starts the binary.
    /// - Parameters:
    ///   - folder: The working directory, which will contain `data`.
    ///   - arguments: The command, if any, and flags.
    init(in folder: URL, _ arguments: [String]) throws {
        let binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "delivery-tracker").path
        // The shell changes the working directory and replaces itself with the binary.
        let shell = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder.path, binary]
        let source: Int32
        (process, source) = try ChildProcess.start(shell + arguments)
        Thread.detachNewThread {
            ChildProcess.read(source) { self.append($0) }
            self.append([])
            let status = self.process.wait()
            self.status.withLock { $0 = status }
            self.exit.open()
        }
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

    func send(_ signal: Int32) { process.signal(signal) }

    /// Waits for the process to exit.
    /// - Returns: The exit code, or the signal that ended the process as a negative number.
    func waitForExit() async throws -> Int32 {
        try await exit.wait()
        return status.withLock { $0 }
    }

    private func append(_ bytes: [UInt8]) {
        let met = output.withLock { output -> [(CheckedContinuation<Bool, Never>, Bool)] in
            output.incompleteLine += String(decoding: bytes, as: UTF8.self)
            while let end = output.incompleteLine.firstIndex(of: "\n") {
                output.lines.append(String(output.incompleteLine[..<end]))
                output.incompleteLine = String(output.incompleteLine[output.incompleteLine.index(after: end)...])
            }
            output.isFinished = bytes.isEmpty
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
