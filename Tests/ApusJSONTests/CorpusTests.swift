import ApusJSON
import Foundation
import Testing

/// A document of `Corpus/documents.txt`.
struct CorpusDocument: Sendable, CustomTestStringConvertible {
    let bytes: [UInt8]
    /// The encoding of the decoded value; `nil` for a malformed document.
    var encoded: [UInt8]?
    /// The offset of the syntax error in a malformed document.
    var offset = 0

    var isZeroWithExponent: Bool { encoded == [UInt8(ascii: "0")] && bytes.contains(UInt8(ascii: "e")) }

    var testDescription: String { String(decoding: bytes, as: UTF8.self).debugDescription }

    static let all: [CorpusDocument] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus/documents.txt")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").reduce(into: []) { documents, line in
            let rest = line.dropFirst(2)
            switch line.first {
            case "+": documents.append(CorpusDocument(bytes: unescape(rest), encoded: unescape(rest)))
            case "=": documents[documents.count - 1].encoded = unescape(rest)
            case "-":
                let parts = rest.split(separator: " ", maxSplits: 1)
                documents.append(
                    CorpusDocument(bytes: parts.count > 1 ? unescape(parts[1]) : [], offset: Int(parts[0]) ?? -1))
            default: break
            }
        }
    }()

    private static func unescape(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "<"), rest.dropFirst(2).first == UInt8(ascii: ">") {
                bytes.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }
}

@Suite struct CorpusTests {
    @Test func `The corpus is complete`() {
        #expect(CorpusDocument.all.filter { $0.encoded == nil }.count > 190)
        #expect(CorpusDocument.all.filter { $0.encoded != nil }.count > 70)
    }

    @Test(arguments: CorpusDocument.all.filter { $0.encoded != nil })
    func `A well-formed document is decoded and encoded as the same value`(document: CorpusDocument) throws {
        let value = try JSON.Decoder().decode(JSON.Value.self, from: document.bytes)
        let encoded = try JSON.Encoder().encode(value)
        #expect(encoded == document.encoded)
        #expect(try JSON.Decoder().decode(JSON.Value.self, from: encoded) == value)
        // Foundation reports a number that is zero with an exponent, or is rounded to zero, as out of range.
        guard !document.isZeroWithExponent else { return }
        let expected = try JSONDecoder().decode(Value.self, from: Data(document.bytes))
        #expect(try JSON.Decoder().decode(Value.self, from: document.bytes) == expected)
    }

    @Test(arguments: CorpusDocument.all.filter { $0.encoded == nil })
    func `A malformed document is rejected at the offending byte, whatever type is decoded`(document: CorpusDocument) {
        let error = #expect(throws: DecodingError.self) {
            try JSON.Decoder().decode(JSON.Value.self, from: document.bytes)
        }
        #expect(syntaxError(error)?.offset == document.offset)
        // Also in a member that is not decoded.
        #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Nothing.self, from: document.bytes) }
        let member = Array(#"{"a":"#.utf8) + document.bytes + Array("}".utf8)
        #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Nothing.self, from: member) }
    }

    private struct Nothing: Decodable {}
}
