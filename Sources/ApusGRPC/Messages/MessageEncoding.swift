import ApusCore
import ApusHTTP
import NIOCore
import NIOPosix

/// The compression of individual messages.
enum MessageEncoding: String, Sendable {
    case identity
    case gzip

    /// The supported encodings, as the value of `grpc-accept-encoding`.
    static let accepted = "identity, gzip"
    static let acceptKey = "grpc-accept-encoding"

    /// Creates an encoding from the value of `grpc-encoding`.
    /// - Throws: An `AppError` with code `unimplemented` for an unsupported encoding.
    init(named name: String?) throws {
        guard let name else {
            self = .identity
            return
        }
        guard let encoding = MessageEncoding(rawValue: name) else {
            throw AppError(
                .unimplemented, "Unsupported message encoding \"\(name.prefix(32))\"; supported: \(Self.accepted).",
                reason: .unknownEncoding)
        }
        self = encoding
    }

    // The maximum number of bytes to decompress or compress on the event loop. Larger messages are handled on the thread pool,
    // so that they do not block the loop's other connections.
    private static let maximumDecodedOnLoop = 512
    private static let maximumEncodedOnLoop = 32 << 10

    /// Decompresses a message.
    /// - Throws: An `AppError` with code `internal` for invalid compressed data, or `resourceExhausted` if the message
    ///   exceeds the limit.
    func decode(_ bytes: ByteBuffer, limit: Int) async throws -> MessageBytes {
        guard bytes.readableBytes > Self.maximumDecodedOnLoop else {
            return MessageBytes(received: try decodeNow(bytes, limit: limit))
        }
        return MessageBytes(
            received: try await NIOThreadPool.singleton.runIfActive { try decodeNow(bytes, limit: limit) })
    }

    private func decodeNow(_ bytes: ByteBuffer, limit: Int) throws -> ByteBuffer {
        guard self == .gzip else {
            throw MessageReader.malformed("the compressed flag is set, but the call specifies no compression")
        }
        do {
            guard let message = try ContentCoding.gzip.decompress(bytes, limit: limit) else {
                throw AppError(.resourceExhausted, "A decompressed message exceeds the limit of \(limit) bytes.")
            }
            return message
        } catch let error as AppError where error.code == .invalidArgument {
            throw MessageReader.malformed("invalid gzip data")
        }
    }

    /// Returns the compressed message with its prefix.
    func encode(_ bytes: ByteBuffer) async throws -> ByteBuffer {
        guard bytes.readableBytes > Self.maximumEncodedOnLoop else { return try encodeNow(bytes) }
        return try await NIOThreadPool.singleton.runIfActive { try encodeNow(bytes) }
    }

    private func encodeNow(_ bytes: ByteBuffer) throws -> ByteBuffer {
        switch self {
        case .identity: MessageBytes.frame(bytes, isCompressed: false)
        case .gzip: MessageBytes.frame(try ContentCoding.gzip.compress(bytes), isCompressed: true)
        }
    }
}

extension AppError.Reason {
    static let unknownEncoding: AppError.Reason = "UNKNOWN_ENCODING"
}
