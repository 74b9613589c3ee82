import ApusHTTP
import Logging

/// The other end of a connection.
struct Peer {
    /// The numeric IP address; `nil` on a Unix socket.
    var address: String?
    /// Whether the connection uses TLS.
    var isSecure = false
    /// The certificate that was verified in the TLS handshake.
    var certificate: PeerCertificate?

    /// Returns the initial context of a request from this peer.
    /// - Parameter connectProtocol: The protocol of an extended CONNECT request.
    func makeContext(_ logger: Logger, connectProtocol: String? = nil) -> RequestContext {
        let context = RequestContext(logger: logger, connectProtocol: connectProtocol)
        if let certificate {
            context[PeerCertificate.self] = certificate
            context.principal = certificate
        }
        return context
    }
}
