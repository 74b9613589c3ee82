import ApusTelemetry
import Foundation
import Logging
import Testing

/// A pipe whose reader takes nothing until it is asked to.
private final class StuckPipe: Sendable {
    private let pipe = Pipe()
    var descriptor: Int32 { pipe.fileHandleForWriting.fileDescriptor }

    /// Reads until a text has come.
    func read(until mark: String) -> String {
        var text = ""
        while !text.contains(mark) { text += String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self) }
        return text
    }
}

@Suite(.timeLimit(.minutes(1))) struct LineWriterTests {
    private func logger(_ writer: LineWriter) -> Logger {
        Logger(label: "test") { LineLogHandler(label: $0, format: .json, output: LogOutput(writer)) }
    }

    @Test func `A pipe that nobody reads blocks no one who logs: lines are dropped and counted`() {
        let pipe = StuckPipe()
        let logger = logger(LineWriter(descriptor: pipe.descriptor, capacity: 64 << 10))
        // More than the pipe and the writer hold together.
        for number in 0..<5000 {
            logger.info("line \(number)", metadata: ["text": "\(String(repeating: "x", count: 100))"])
        }
        // The rest is written once somebody reads, and a new line then says what is missing.
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

    @Test func `Lines are written whole and in order, and a flush waits for them`() {
        let pipe = StuckPipe()
        let writer = LineWriter(descriptor: pipe.descriptor)
        for number in 0..<100 { writer.write("line \(number)\n", reporting: 0) }
        writer.flush()
        let text = pipe.read(until: "line 99\n")
        #expect(text == (0..<100).map { "line \($0)\n" }.joined())
    }

    @Test func `A closed output takes nothing down`() {
        let writer = LineWriter(descriptor: -1)
        writer.write("lost\n", reporting: 0)
        writer.flush()
    }
}
