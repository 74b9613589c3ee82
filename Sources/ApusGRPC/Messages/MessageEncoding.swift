import ApusCore
import ApusHTTP
import NIOCore

/// What compresses single messages.
enum MessageEncoding: String, Sendable {
    case identity
    case gzip

    /// What this side reads, as `grpc-accept-encoding` says it.
    static let accepted = "identity, gzip"

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

    /// - Throws: An `AppError`: `internal` for bytes that are not compressed so, `resourceExhausted` past the limit.
    func decode(_ bytes: ByteBuffer, limit: Int) throws -> ByteBuffer {
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
    func encode(_ bytes: ByteBuffer) -> ByteBuffer {
        switch self {
        case .identity: MessageBytes.frame(bytes, isCompressed: false)
        case .gzip: MessageBytes.frame(ContentCoding.gzip.compress(bytes), isCompressed: true)
        }
    }
}

extension AppError.Reason {
    static let unknownEncoding: AppError.Reason = "UNKNOWN_ENCODING"
}
