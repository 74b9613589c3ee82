import NIOCore

@testable import ApusPostgres

/// Builds messages of the server.
enum ServerMessage {
    static func bytes(_ kind: Unicode.Scalar, _ body: [UInt8] = []) -> [UInt8] {
        [UInt8(ascii: kind)] + integer(UInt32(body.count + 4)) + body
    }

    static func integer<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    static func string(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    static let authenticationOK = bytes("R", integer(UInt32(0)))
    static let parseComplete = bytes("1")
    static let bindComplete = bytes("2")
    static let closeComplete = bytes("3")
    static let noData = bytes("n")

    static func ready(_ status: TransactionStatus = .idle) -> [UInt8] { bytes("Z", [status.rawValue]) }

    static func complete(_ tag: String) -> [UInt8] { bytes("C", string(tag)) }

    static func parameters(_ oids: [UInt32]) -> [UInt8] {
        bytes("t", integer(UInt16(oids.count)) + oids.flatMap { integer($0) })
    }

    static func columns(_ columns: [(name: String, oid: UInt32)]) -> [UInt8] {
        bytes(
            "T",
            integer(UInt16(columns.count))
                + columns.flatMap {
                    string($0.name) + [UInt8](repeating: 0, count: 6) + integer($0.oid)
                        + [UInt8](repeating: 0, count: 8)
                })
    }

    static func row(_ values: [[UInt8]?]) -> [UInt8] {
        bytes(
            "D",
            integer(UInt16(values.count))
                + values.flatMap { value in value.map { integer(Int32($0.count)) + $0 } ?? integer(Int32(-1)) })
    }

    static func error(_ sqlState: String, severity: String = "ERROR", _ message: String = "message") -> [UInt8] {
        bytes(
            "E",
            [UInt8(ascii: "S")] + string(severity) + [UInt8(ascii: "V")] + string(severity) + [UInt8(ascii: "C")]
                + string(sqlState) + [UInt8(ascii: "M")] + string(message) + [0])
    }

    static func authentication(_ kind: UInt32, _ body: [UInt8] = []) -> [UInt8] { bytes("R", integer(kind) + body) }
}

extension ByteBuffer {
    var array: [UInt8] { Array(readableBytesView) }
}

/// A message that a client has sent.
struct SentMessage: Equatable {
    let kind: Character
    let body: [UInt8]

    /// Splits what a client has sent after its startup message.
    static func split(_ output: inout ByteBuffer) -> [SentMessage] {
        var messages: [SentMessage] = []
        while let kind = output.readInteger(as: UInt8.self), let length = output.readInteger(as: UInt32.self),
            let body = output.readBytes(length: Int(length) - 4)
        {
            messages.append(SentMessage(kind: Character(Unicode.Scalar(kind)), body: body))
        }
        return messages
    }

    /// The text that ends with the first NUL byte.
    var firstString: String { String(decoding: body.prefix { $0 != 0 }, as: UTF8.self) }

    /// The text between the first two NUL bytes.
    var secondString: String {
        String(decoding: body.drop { $0 != 0 }.dropFirst().prefix { $0 != 0 }, as: UTF8.self)
    }
}
