import ApusHTTP

/// How a call's messages and its status are laid out.
enum WireFormat: Sendable {
    /// gRPC over HTTP/2: messages in the body, the status in the fields after it.
    case grpc
    /// gRPC-Web: the status comes as a last message in the body, because browsers do not show the fields after one.
    case web
    /// The same in base64.
    case webText

    /// - Returns: `nil` for a type that is none of gRPC's, or of messages in another form than Protocol Buffers'.
    init?(contentType: String) {
        if contentType == Self.grpc.contentType {
            self = .grpc
            return
        }
        let type = contentType.prefix { $0 != ";" }.lowercased()
        guard let form = [Self.webText, .web, .grpc].first(where: { type.hasPrefix($0.contentType) }) else {
            return nil
        }
        switch type.dropFirst(form.contentType.count).trimmed {
        case "", "+proto": self = form
        default: return nil
        }
    }

    var contentType: String {
        switch self {
        case .grpc: "application/grpc"
        case .web: "application/grpc-web"
        case .webText: "application/grpc-web-text"
        }
    }
}
