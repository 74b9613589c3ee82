import ApusHTTP
import ApusTesting
import Foundation
import NIOCore
import Testing

@testable import ApusServer

/// A case of `Corpus/requests.txt`: the bytes sent, the expected statuses, and whether the connection stays open.
struct CorpusCase: Sendable, CustomTestStringConvertible {
    let name: String
    var bytes: [UInt8] = []
    var statuses: [String] = []
    var staysOpen = false

    var testDescription: String { name }

    static let all: [CorpusCase] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus/requests.txt")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").reduce(into: []) { cases, line in
            switch line.prefix(2) {
            case "==": cases.append(CorpusCase(name: String(line.dropFirst(3))))
            case "> ": cases[cases.count - 1].bytes += unescape(line.dropFirst(2))
            case "< ":
                let words = line.dropFirst(2).split(separator: " ").map(String.init)
                cases[cases.count - 1].statuses = words.dropLast()
                cases[cases.count - 1].staysOpen = words.last == "open"
            default: break
            }
        }
    }()

    private static func unescape(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let letter = rest.popFirst() else {
                bytes.append(byte)
                continue
            }
            switch letter {
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "0"): bytes.append(0)
            case UInt8(ascii: "x"):
                bytes.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
                rest = rest.dropFirst(2)
            default: bytes.append(letter)
            }
        }
        return bytes
    }
}

@Suite(.timeLimit(.minutes(10))) struct CorpusTests {
    @Test func `The corpus is complete`() {
        #expect(CorpusCase.all.count > 100)
        #expect(CorpusCase.all.allSatisfy { !$0.bytes.isEmpty && !$0.statuses.isEmpty })
    }

    @Test func `Responses and the state of the connection are as the corpus specifies`() async throws {
        let probe = "GET /hello HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
        try await withServer { port in
            for testCase in CorpusCase.all {
                let connection = try await RawConnection.connect(port: port)
                try await connection.write(ByteBuffer(bytes: testCase.bytes))
                // A connection that is still open answers one more request, which closes it.
                if testCase.staysOpen { try await connection.write(probe) }
                let statuses = Self.statuses(in: try await connection.readToEnd())
                #expect(statuses == testCase.statuses + (testCase.staysOpen ? ["200"] : []), "\(testCase.name)")
            }
        }
    }

    @Test(arguments: CorpusCase.all)
    func `The result of parsing does not depend on how the bytes are split`(testCase: CorpusCase) {
        let bytes = testCase.bytes
        let whole = Self.read([bytes])
        #expect(Self.read(bytes.map { [$0] }) == whole)
        for split in bytes.indices.dropFirst() {
            #expect(Self.read([Array(bytes[..<split]), Array(bytes[split...])]) == whole, "split at \(split)")
        }
    }

    /// Returns everything that the parser reports, with the pieces of bodies joined.
    private static func read(_ pieces: [[UInt8]]) -> [String] {
        var parser = HTTP1Parser(maxHeadBytes: 16 << 10, maxHeadFields: 100)
        var parts: [String] = []
        var body: [UInt8] = []
        for piece in pieces {
            parser.append(ByteBuffer(bytes: piece))
            reading: while true {
                do {
                    switch try parser.next() {
                    case .head(let head): parts.append("\(head.method) \(head.target) \(head.headers.fields)")
                    case .body(let bytes): body += bytes.readableBytesView
                    case .end(let trailers):
                        parts.append("\(body) \(trailers)")
                        body = []
                    case .needsMore: break reading
                    }
                } catch {
                    return parts + ["\(error)"]
                }
            }
        }
        return parts
    }

    private static func statuses(in text: String) -> [String] {
        text.matches(of: #/HTTP/1\.[01] ([0-9]{3}) /#).map { String($0.1) }.filter { $0 != "100" }
    }
}
