package import ApusHTTP
package import HTTPTypes

/// The parsed head of a request.
package struct RequestHead: Sendable, Equatable {
    /// How the end of the body is determined.
    package enum Framing: Sendable, Equatable {
        case none
        case length(Int)
        case chunked
    }

    package let method: HTTPRequest.Method
    package let target: String
    /// The host and port of a target in absolute form, which take precedence over the `Host` field (RFC 9112 §3.2.2).
    var authority: String?
    package let headers: RequestHeaders
    let framing: Framing
    /// Whether the client speaks HTTP/1.0: no chunked coding, no 100 Continue, and keep-alive only on request.
    let isVersion10: Bool
    /// Whether the client wants to reuse the connection.
    let keepAlive: Bool
    /// Whether the client waits for 100 Continue before it sends the body.
    let expectsContinue: Bool
}
