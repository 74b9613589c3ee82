import ApusTesting
import Foundation
import Synchronization

/// A process of `sqlite-writer`, and the numbers of the rows that it has reported as committed.
final class WriterProcess: Sendable {
    private struct Output {
        var numbers: [Int] = []
        var line: [UInt8] = []
        var waiter: (count: Int, gate: Gate)?
    }

    let name: String
    private let pid: pid_t
    private let output = Mutex(Output())
    private let status = Mutex<Int32>(0)
    private let exit = Gate()

    /// Starts the process.
    init(_ path: String, name: String, count: Int) throws {
        self.name = name
        let binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "sqlite-writer").path
        var descriptors: [Int32] = [0, 0]
        guard pipe(&descriptors) == 0 else { throw POSIXError(.EMFILE) }
        // Otherwise the next process would inherit the pipe and keep it open after the exit of this process.
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, descriptors[1], STDOUT_FILENO)
        let arguments: [String] = [binary, path, name, "\(count)"]
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, binary, &actions, nil, &words, environ)
        close(descriptors[1])
        self.pid = pid
        guard result == 0 else {
            close(descriptors[0])
            throw POSIXError(POSIXErrorCode(rawValue: result) ?? .EIO)
        }
        let source = descriptors[0]
        Thread.detachNewThread { self.readOutput(from: source) }
    }

    private func readOutput(from source: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            append(buffer.prefix(count))
        }
        close(source)
        var waitStatus: Int32 = 0
        while waitpid(pid, &waitStatus, 0) < 0 && errno == EINTR {}
        status.withLock { $0 = waitStatus & 0x7F == 0 ? waitStatus >> 8 & 0xFF : -(waitStatus & 0x7F) }
        output.withLock { $0.waiter }?.gate.open()
        exit.open()
    }

    private func append(_ bytes: ArraySlice<UInt8>) {
        output.withLock { output in
            for byte in bytes {
                guard byte == UInt8(ascii: "\n") else {
                    output.line.append(byte)
                    continue
                }
                if let number = Int(String(decoding: output.line, as: UTF8.self)) { output.numbers.append(number) }
                output.line = []
            }
            if let waiter = output.waiter, output.numbers.count >= waiter.count { waiter.gate.open() }
        }
    }

    /// The numbers of the rows that the process has reported as committed.
    var acknowledged: [Int] { output.withLock { $0.numbers } }

    /// Waits until the process has committed some rows, or has exited.
    func waitForRows(_ count: Int) async {
        let gate = Gate()
        output.withLock { output in
            output.waiter = (count, gate)
            if output.numbers.count >= count { gate.open() }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await gate.wait() }
            group.addTask { try? await self.exit.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    func kill() { Foundation.kill(pid, SIGKILL) }

    /// Waits for the exit.
    /// - Returns: The exit status, or the signal as a negative number.
    func waitForExit() async throws -> Int32 {
        try await exit.wait()
        return status.withLock { $0 }
    }
}
