import NIOCore

/// A message from the server, in the memory of the reader that passes it on.
struct BackendMessage {
    /// The type of the message: an ASCII letter or digit.
    let kind: UInt8
    /// What follows the length. Valid only until the function returns to which the message was passed.
    let bytes: UnsafeRawBufferPointer

    /// A copy of what follows the length.
    var body: ByteBuffer { ByteBuffer(bytes: bytes) }

    var unexpected: ProtocolViolation { ProtocolViolation("A message of kind \(name) was not expected.") }

    var malformed: ProtocolViolation { ProtocolViolation("A message of kind \(name) is malformed.") }

    private var name: Character { Character(Unicode.Scalar(kind)) }
}

/// A violation of the protocol by the server, or by something between it and this client. Ends the connection.
struct ProtocolViolation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Cuts the bytes of the server into messages. Remembers its place in a message of which only a part has arrived.
struct MessageReader {
    private var bytes = ByteBuffer()
    private let maximumLength: Int
    /// The limit for messages of a kind that is always short.
    private static let maximumShortLength = 64 << 10

    /// - Parameter maximumLength: The limit for messages that carry rows or text, in bytes.
    init(maximumLength: Int) { self.maximumLength = maximumLength }

    mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 {
            bytes = more
        } else {
            bytes.discardReadBytes()
            bytes.writeImmutableBuffer(more)
        }
    }

    /// Passes the messages that have arrived completely to a closure.
    /// - Parameter body: Returns whether to go on. It must not use the reader.
    mutating func read(_ body: (BackendMessage) -> Bool) throws(ProtocolViolation) {
        let result = bytes.withUnsafeReadableBytes { memory -> Result<Int, ProtocolViolation> in
            var position = 0
            while memory.count - position >= 5 {
                let kind = memory[position]
                let length = Int(
                    UInt32(bigEndian: memory.loadUnaligned(fromByteOffset: position + 1, as: UInt32.self)))
                guard length >= 4, length <= limit(for: kind) else {
                    return .failure(ProtocolViolation("A message of kind \(kind) has the length \(length)."))
                }
                let end = position + 1 + length
                guard end <= memory.count else { break }
                let message = BackendMessage(
                    kind: kind, bytes: UnsafeRawBufferPointer(rebasing: memory[position + 5..<end]))
                position = end
                guard body(message) else { break }
            }
            return .success(position)
        }
        bytes.moveReaderIndex(forwardBy: try result.get())
    }

    /// Whether a message has arrived in part.
    var isInMessage: Bool { bytes.readableBytes > 0 }

    private func limit(for kind: UInt8) -> Int {
        switch kind {
        case .dataRow, .copyData, .rowDescription, .parameterDescription, .errorResponse, .noticeResponse,
            .notificationResponse, .parameterStatus:
            maximumLength
        default: Self.maximumShortLength
        }
    }
}

/// The kinds of messages that a server sends.
extension UInt8 {
    static let authentication = UInt8(ascii: "R")
    static let backendKeyData = UInt8(ascii: "K")
    static let bindComplete = UInt8(ascii: "2")
    static let closeComplete = UInt8(ascii: "3")
    static let commandComplete = UInt8(ascii: "C")
    static let copyData = UInt8(ascii: "d")
    static let copyDone = UInt8(ascii: "c")
    static let copyInResponse = UInt8(ascii: "G")
    static let copyOutResponse = UInt8(ascii: "H")
    static let dataRow = UInt8(ascii: "D")
    static let emptyQueryResponse = UInt8(ascii: "I")
    static let errorResponse = UInt8(ascii: "E")
    static let negotiateProtocolVersion = UInt8(ascii: "v")
    static let noData = UInt8(ascii: "n")
    static let noticeResponse = UInt8(ascii: "N")
    static let notificationResponse = UInt8(ascii: "A")
    static let parameterDescription = UInt8(ascii: "t")
    static let parameterStatus = UInt8(ascii: "S")
    static let parseComplete = UInt8(ascii: "1")
    static let readyForQuery = UInt8(ascii: "Z")
    static let rowDescription = UInt8(ascii: "T")
}
