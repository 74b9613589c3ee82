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
    private let process: ChildProcess
    private let output = Mutex(Output())
    private let status = Mutex<Int32>(0)
    private let exit = Gate()

    /// Starts the process.
    init(_ path: String, name: String, count: Int) throws {
        self.name = name
        let binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "sqlite-writer").path
        let source: Int32
        (process, source) = try ChildProcess.start([binary, path, name, "\(count)"])
        Thread.detachNewThread {
            ChildProcess.read(source) { self.append($0) }
            let status = self.process.wait()
            self.status.withLock { $0 = status }
            self.output.withLock { $0.waiter }?.gate.open()
            self.exit.open()
        }
    }

    private func append(_ bytes: [UInt8]) {
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

    func kill() { process.signal(SIGKILL) }

    /// Waits for the exit.
    /// - Returns: The exit status, or the signal as a negative number.
    func waitForExit() async throws -> Int32 {
        try await exit.wait()
        return status.withLock { $0 }
    }
}
