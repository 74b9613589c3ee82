import HTTPTypes

extension HTTPField.Name {
    /// Whether the field may occur in trailers. Fields about framing, routing or the connection may not (RFC 9110
    /// §6.5.1).
    var isAllowedInTrailers: Bool {
        switch canonicalName {
        case "transfer-encoding", "content-length", "content-encoding", "content-type", "content-range", "host",
            "trailer", "connection", "keep-alive", "upgrade", "te", "authorization", "set-cookie", "cache-control":
            false
        default: true
        }
    }
}
