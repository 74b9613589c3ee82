import ApusCore
import ApusHTTP
import NIOCore

/// Finds the messages in a body's bytes: each has a prefix of five bytes, which says whether it is compressed and how long
/// it is (gRPC over HTTP/2, Length-Prefixed-Message).
struct MessageReader {
    enum Found {
        case message(MessageBytes)
        /// One that has to be decompressed yet.
        case compressed(ByteBuffer)
    }

    private let limit: Int
    private(set) var bytes = ByteBuffer()

    /// - Parameter limit: The most bytes of a message as it comes.
    init(limit: Int) { self.limit = limit }

    /// Gives it more to read.
    mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 { bytes = more } else { bytes.appendReclaiming(more) }
    }

    /// The next message; `nil` when more of it has to come first.
    /// - Throws: An `AppError`: `resourceExhausted` past the limit, `internal` for bytes that are no message.
    mutating func next() throws -> Found? {
        guard let flag: UInt8 = bytes.getInteger(at: bytes.readerIndex),
            let length: UInt32 = bytes.getInteger(at: bytes.readerIndex + 1)
        else { return nil }
        guard flag <= 1 else { throw Self.malformed("its first byte is \(flag), which is neither 0 nor 1") }
        guard length <= limit else { throw Self.tooLarge(Int(length), limit) }
        guard bytes.readableBytes >= MessageBytes.prefixLength + Int(length) else { return nil }
        bytes.moveReaderIndex(forwardBy: MessageBytes.prefixLength)
        let message = bytes.readSlice(length: Int(length)) ?? ByteBuffer()
        if bytes.readableBytes == 0 { bytes = ByteBuffer() }
        return flag == 0 ? .message(MessageBytes(received: message)) : .compressed(message)
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
