package import ApusHTTP
package import HTTPTypes

/// A request's header, read.
package struct RequestHead: Sendable, Equatable {
    /// How the end of the body is told.
    package enum Framing: Sendable, Equatable {
        case none
        case length(Int)
        case chunked
    }

    package let method: HTTPRequest.Method
    package let target: String
    /// The host and port of a target in absolute form, which count instead of the `Host` field's (RFC 9112 §3.2.2).
    var authority: String?
    package let headers: RequestHeaders
    let framing: Framing
    /// Whether the client speaks HTTP/1.0: no chunks, no 100, no keep-alive unless asked for.
    let isVersion10: Bool
    /// Whether the client wants to use the connection again.
    let keepAlive: Bool
    /// Whether the client waits for a 100 before it sends the body.
    let expectsContinue: Bool
}
