import ApusCore
import ApusHTTP
import NIOCore

/// Finds the messages in a body's bytes: each has a prefix of five bytes, which says whether it is compressed and how long
/// it is (gRPC over HTTP/2, Length-Prefixed-Message).
struct MessageReader {
    private let limit: Int
    private let encoding: MessageEncoding
    private(set) var bytes = ByteBuffer()

    /// - Parameters:
    ///   - limit: The most bytes of a message, before and after it is decompressed.
    ///   - encoding: What a message that says that it is compressed is compressed by.
    init(limit: Int, encoding: MessageEncoding) {
        self.limit = limit
        self.encoding = encoding
    }

    /// Gives it more to read.
    mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 { bytes = more } else { bytes.appendReclaiming(more) }
    }

    /// The next message; `nil` when more of it has to come first.
    /// - Throws: An `AppError`: `resourceExhausted` past the limit, `internal` for bytes that are no message.
    mutating func next() throws -> MessageBytes? {
        guard let flag: UInt8 = bytes.getInteger(at: bytes.readerIndex),
            let length: UInt32 = bytes.getInteger(at: bytes.readerIndex + 1)
        else { return nil }
        guard flag <= 1 else { throw Self.malformed("its first byte is \(flag), which is neither 0 nor 1") }
        guard length <= limit else { throw Self.tooLarge(Int(length), limit) }
        guard bytes.readableBytes >= MessageBytes.prefixLength + Int(length) else { return nil }
        bytes.moveReaderIndex(forwardBy: MessageBytes.prefixLength)
        let message = bytes.readSlice(length: Int(length)) ?? ByteBuffer()
        if bytes.readableBytes == 0 { bytes = ByteBuffer() }
        guard flag == 1 else { return MessageBytes(received: message) }
        return MessageBytes(received: try encoding.decode(message, limit: limit))
    }

    /// - Throws: An `AppError` of code `internal` when the body ended within a message.
    func finish() throws {
        guard bytes.readableBytes == 0 else { throw Self.malformed("it ends after \(bytes.readableBytes) bytes") }
    }

    static func tooLarge(_ length: Int, _ limit: Int) -> AppError {
        AppError(.resourceExhausted, "A message of \(length) bytes is larger than the \(limit) allowed here.")
    }

    static func malformed(_ what: String) -> AppError {
        AppError(.internal, "A message cannot be read: \(what).", reason: .malformedCall)
    }
}
