import ApusLogging
import Foundation
import Logging
import Testing

/// A pipe that is only read on request.
private final class StalledPipe: Sendable {
    private let pipe = Pipe()
    var descriptor: Int32 { pipe.fileHandleForWriting.fileDescriptor }

    /// Reads until the data contains a text, and returns all data read.
    func read(until text: String) -> String {
        var data = ""
        while !data.contains(text) { data += String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self) }
        return data
    }
}

@Suite(.timeLimit(.minutes(10))) struct LineWriterTests {
    private func logger(_ writer: LineWriter) -> Logger {
        Logger(label: "test") { LineLogHandler(label: $0, format: .json, output: LogOutput(writer)) }
    }

    @Test func `Logging to a pipe that is not read does not block: lines are dropped and counted`() {
        let pipe = StalledPipe()
        let logger = logger(LineWriter(descriptor: pipe.descriptor, capacity: 64 << 10))
        // More than the buffers of the pipe and the writer can hold.
        for number in 0..<5000 {
            logger.info("line \(number)", metadata: ["text": "\(String(repeating: "x", count: 100))"])
        }
        // Once the pipe is read, the buffered lines are written, and the next line reports the number of dropped ones.
        let before = pipe.read(until: "\"line 100\"")
        #expect(before.contains("\"line 0\""))
        var all = before
        var number = 0
        while !all.contains("Log lines were dropped.") {
            logger.info("after \(number)")
            all += pipe.read(until: "\n")
            number += 1
        }
        let lines = all.split(separator: "\n")
        let count = lines.filter { $0.contains("\"line ") }.count
        #expect(count < 5000)
        #expect(lines.contains { $0.contains("Log lines were dropped.") && $0.contains("\"count\":") })
    }

    @Test func `Lines are written completely and in order, and a flush waits for them`() {
        let pipe = StalledPipe()
        let writer = LineWriter(descriptor: pipe.descriptor)
        for number in 0..<100 { writer.write("line \(number)\n", reporting: 0) }
        writer.flush()
        let text = pipe.read(until: "line 99\n")
        #expect(text == (0..<100).map { "line \($0)\n" }.joined())
    }

    @Test func `Writing to a closed descriptor has no effect`() {
        let writer = LineWriter(descriptor: -1)
        writer.write("lost\n", reporting: 0)
        writer.flush()
    }
}
