import ApusCore
import ApusHTTP
import HTTPTypes

/// The layout of a call's messages and status.
enum WireFormat: Sendable {
    /// gRPC over HTTP/2: messages in the body, the status in the trailers.
    case grpc
    /// gRPC-Web: the status is the last message in the body, because browsers do not expose trailers.
    case web
    /// gRPC-Web with a base64 body.
    case webText

    /// Creates a format from a content type; `nil` if it is not a gRPC type or the messages are not Protocol Buffers.
    init?(contentType: String) {
        if contentType == Self.grpc.contentType {
            self = .grpc
            return
        }
        let type = (contentType.cut(at: ";")?.before ?? Substring(contentType)).asciiLowercased
        guard let format = [Self.webText, .web, .grpc].first(where: { type.starts(withBytesOf: $0.contentType) }) else {
            return nil
        }
        switch Substring(type.utf8.dropFirst(format.contentType.utf8.count)).trimmed {
        case "", "+proto": self = format
        default: return nil
        }
    }

    /// Creates the format of a request; `nil` if it is not a call.
    init?(of request: Request) {
        guard let type = request.headers[.contentType] else { return nil }
        self.init(contentType: type)
    }

    /// Returns the format of the answer to a request of this format. A gRPC-Web client may accept the other form than the
    /// one that it sends.
    func answering(_ request: Request) -> WireFormat {
        guard self != .grpc else { return self }
        let other = self == .web ? WireFormat.webText : .web
        let type = request.preferredType(
            of: contentType, contentType + "+proto", other.contentType, other.contentType + "+proto")
        return type.flatMap { WireFormat(contentType: $0) } ?? self
    }

    var contentType: String {
        switch self {
        case .grpc: "application/grpc"
        case .web: "application/grpc-web"
        case .webText: "application/grpc-web-text"
        }
    }
}
