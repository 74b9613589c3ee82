import ApusCore
import ApusHTTP
import NIOCore
import NIOPosix

/// What compresses single messages.
enum MessageEncoding: String, Sendable {
    case identity
    case gzip

    /// What this side reads, as `grpc-accept-encoding` says it.
    static let accepted = "identity, gzip"
    static let acceptKey = "grpc-accept-encoding"

    /// The encoding that a field names.
    /// - Throws: An `AppError` of code `unimplemented` for one that is not known here.
    init(named name: String?) throws {
        guard let name else {
            self = .identity
            return
        }
        guard let encoding = MessageEncoding(rawValue: name) else {
            throw AppError(
                .unimplemented, "Messages in the encoding \"\(name.prefix(32))\" are not read; \(Self.accepted) are.",
                reason: .unknownEncoding)
        }
        self = encoding
    }

    /// More than this is decompressed, and a message of more than this compressed, on a thread of its own: the event loop has
    /// others to see to.
    private static let mostDecodedOnLoop = 512
    private static let mostEncodedOnLoop = 32 << 10

    /// - Throws: An `AppError`: `internal` for bytes that are not compressed so, `resourceExhausted` past the limit.
    func decode(_ bytes: ByteBuffer, limit: Int) async throws -> MessageBytes {
        guard bytes.readableBytes > Self.mostDecodedOnLoop else {
            return MessageBytes(received: try decodeNow(bytes, limit: limit))
        }
        return MessageBytes(
            received: try await NIOThreadPool.singleton.runIfActive { try decodeNow(bytes, limit: limit) })
    }

    private func decodeNow(_ bytes: ByteBuffer, limit: Int) throws -> ByteBuffer {
        guard self == .gzip else {
            throw MessageReader.malformed("it says that it is compressed, and the call names no encoding")
        }
        do {
            guard let message = try ContentCoding.gzip.decompress(bytes, limit: limit) else {
                throw AppError(.resourceExhausted, "A message is larger than the \(limit) bytes allowed here.")
            }
            return message
        } catch let error as AppError where error.code == .invalidArgument {
            throw MessageReader.malformed("it is not valid gzip")
        }
    }

    /// The message with its prefix, compressed.
    func encode(_ bytes: ByteBuffer) async throws -> ByteBuffer {
        guard bytes.readableBytes > Self.mostEncodedOnLoop else { return encodeNow(bytes) }
        return try await NIOThreadPool.singleton.runIfActive { encodeNow(bytes) }
    }

    private func encodeNow(_ bytes: ByteBuffer) -> ByteBuffer {
        switch self {
        case .identity: MessageBytes.frame(bytes, isCompressed: false)
        case .gzip: MessageBytes.frame(ContentCoding.gzip.compress(bytes), isCompressed: true)
        }
    }
}

extension AppError.Reason {
    static let unknownEncoding: AppError.Reason = "UNKNOWN_ENCODING"
}
