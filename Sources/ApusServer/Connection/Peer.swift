import ApusHTTP
import Logging

/// Who is at the other end of a connection.
struct Peer {
    /// The numeric address, `nil` on a unix socket.
    var address: String?
    /// Whether it speaks TLS to this server.
    var isSecure = false
    /// The certificate that was checked when the connection began.
    var certificate: PeerCertificate?

    /// What a request of this peer starts with.
    /// - Parameter connectProtocol: The protocol that an extended CONNECT asks for.
    func makeContext(_ logger: Logger, connectProtocol: String? = nil) -> RequestContext {
        let context = RequestContext(logger: logger, connectProtocol: connectProtocol)
        if let certificate {
            context[PeerCertificate.self] = certificate
            context.principal = certificate
        }
        return context
    }
}
