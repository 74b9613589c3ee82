import ApusCore
import ApusHTTP
import NIOCore

/// Splits the bytes of a body into messages.
///
/// Each message has a five-byte prefix with its compressed flag and its length (gRPC over HTTP/2, Length-Prefixed-Message).
struct MessageReader {
    enum Message {
        case uncompressed(MessageBytes)
        /// The compressed bytes of a message.
        case compressed(ByteBuffer)
    }

    private let limit: Int
    private(set) var bytes = ByteBuffer()

    /// - Parameter limit: The maximum length of a message in the body, in bytes.
    init(limit: Int) { self.limit = limit }

    /// Appends bytes of the body.
    mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 { bytes = more } else { bytes.appendReclaiming(more) }
    }

    /// Returns the next message, or `nil` if it is not yet complete.
    /// - Throws: An `AppError` with code `resourceExhausted` if the message exceeds the limit, or `internal` for a malformed
    ///   prefix.
    mutating func next() throws -> Message? {
        guard let flag: UInt8 = bytes.getInteger(at: bytes.readerIndex),
            let length: UInt32 = bytes.getInteger(at: bytes.readerIndex + 1)
        else { return nil }
        guard flag <= 1 else { throw Self.malformed("the compressed flag is \(flag) instead of 0 or 1") }
        guard length <= limit else { throw Self.tooLarge(Int(length), limit) }
        guard bytes.readableBytes >= MessageBytes.prefixLength + Int(length) else { return nil }
        bytes.moveReaderIndex(forwardBy: MessageBytes.prefixLength)
        let message = bytes.readSlice(length: Int(length)) ?? ByteBuffer()
        if bytes.readableBytes == 0 { bytes = ByteBuffer() }
        return flag == 0 ? .uncompressed(MessageBytes(received: message)) : .compressed(message)
    }

    /// - Throws: An `AppError` with code `internal` if the body ended within a message.
    func finish() throws {
        guard bytes.readableBytes == 0 else { throw Self.malformed("truncated after \(bytes.readableBytes) bytes") }
    }

    static func tooLarge(_ length: Int, _ limit: Int) -> AppError {
        AppError(.resourceExhausted, "A message of \(length) bytes exceeds the limit of \(limit) bytes.")
    }

    static func malformed(_ problem: String) -> AppError {
        AppError(.internal, "Malformed message: \(problem).", reason: .malformedCall)
    }
}
