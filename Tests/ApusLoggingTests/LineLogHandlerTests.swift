import ApusLogging
import FoundationEssentials
import Logging
import Synchronization
import Testing

@Suite struct LineLogHandlerTests {
    private func line(_ format: LineLogHandler.Format, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String
    {
        let box = Box()
        var logger = Logger(label: "test") { _ in
            LineLogHandler(label: "test", format: format, output: LogOutput { box.append($0) })
        }
        logger[metadataKey: "request_id"] = "r1"
        logger.info(message, metadata: metadata)
        return box.text
    }

    private final class Box: Sendable {
        private let lines = Mutex("")
        var text: String { lines.withLock { $0 } }
        func append(_ text: String) { lines.withLock { $0 += text } }
    }

    @Test func `A JSON log entry is one object on one line, even with control characters in its values`() throws {
        let text = line(
            .json, "a \"quote\"\nand a break",
            ["path": "/\u{1B}[31m\r\n\\", "n": .stringConvertible(42), "list": ["a", "b"]])
        #expect(text.hasSuffix("\n"))
        #expect(text.dropLast().utf8.allSatisfy { $0 >= 0x20 })
        struct Line: Decodable {
            let message: String
            let path: String
            let n: Int
            let list: [String]
            let requestID: String
            let level: String

            enum CodingKeys: String, CodingKey {
                case message, path, n, list, level
                case requestID = "request_id"
            }
        }
        let decoded = try JSONDecoder().decode(Line.self, from: Data(text.utf8))
        #expect(decoded.message == "a \"quote\"\nand a break")
        #expect(decoded.path == "/\u{1B}[31m\r\n\\")
        #expect(decoded.n == 42)
        #expect(decoded.level == "info")
        #expect(decoded.requestID == "r1")
    }

    @Test(arguments: [1.23456, -1e-9, 1e300, .greatestFiniteMagnitude, .infinity, -.infinity, .nan])
    func `A JSON log entry is valid with any number`(number: Double) throws {
        struct Line: Decodable { let message: String }
        let text = line(.json, "m", ["n": .stringConvertible(number)])
        #expect(try JSONDecoder().decode(Line.self, from: Data(text.utf8)).message == "m")
    }

    @Test(arguments: LineLogHandler.Format.allCases) func `Values whose names suggest a secret are redacted`(
        format: LineLogHandler.Format
    ) {
        let text = line(
            format, "login",
            [
                "password": "hunter2", "X-Auth-Token": "hunter2", "Authorization": "Bearer hunter2",
                "nested": ["api-key": "hunter2", "ok": "fine"],
            ])
        #expect(!text.contains("hunter2"))
        #expect(text.contains("fine"))
    }

    @Test func `Metadata with the name of a part of the line is written into an object of its own`() {
        let text = line(.json, "m", ["time": "noon", "level": "5", "password": "hunter2", "metadata": "x"])
        let end = #""password":"<redacted>","request_id":"r1","metadata":{"level":"5","metadata":"x","time":"noon"}}"#
        #expect(text.hasSuffix(end + "\n"), "\(text)")
    }

    @Test func `A combining mark in a name does not hide that it suggests a secret`() {
        #expect(
            !line(.json, "m", ["password\u{301}": "hunter2", "api-\u{301}password": "hunter2"]).contains("hunter2"))
    }

    @Test func `Control characters are escaped in a text line`() {
        let text = line(.text, "a\nb", ["k": "\u{1B}[2J"])
        #expect(text.dropLast().utf8.allSatisfy { $0 >= 0x20 })
    }
}
