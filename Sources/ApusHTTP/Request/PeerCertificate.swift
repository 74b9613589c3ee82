public import ApusCore

/// The identity in the client certificate of a connection with mutual TLS. The server has verified the certificate.
///
/// It is the principal of the request until something else, such as a token, sets another one.
public struct PeerCertificate: Principal, Hashable {
    /// The distinguished name in the format of RFC 4514: `CN=orders,O=Example`.
    public let name: String
    /// The subject alternative names that are DNS names.
    public let dnsNames: [String]
    /// The subject alternative names that are URIs, such as a SPIFFE ID.
    public let uris: [String]
    /// The SHA-256 fingerprint of the certificate, in hexadecimal.
    public let fingerprint: String

    public init(name: String, dnsNames: [String], uris: [String], fingerprint: String) {
        self.name = name
        self.dnsNames = dnsNames
        self.uris = uris
        self.fingerprint = fingerprint
    }

    /// `certificate:` followed by the first URI, or else the first DNS name, or else the distinguished name.
    public var subject: String { "certificate:\(uris.first ?? dnsNames.first ?? name)" }
}

extension PeerCertificate: RequestContextKey {
    public typealias Value = PeerCertificate
}

/// The client certificate. A request without one receives 401.
public struct ClientCertificate: RequestInput {
    public init() {}

    public func extract(from request: Request) throws -> PeerCertificate {
        guard let certificate = request.context[PeerCertificate.self] else {
            throw AppError(.unauthenticated, "A client certificate is required.")
        }
        return certificate
    }
}
