public import ApusCore

/// Whom the client's certificate names, on a connection with mutual TLS. The server has checked the certificate.
///
/// It is the request's principal until something else, such as a token, names one.
public struct PeerCertificate: Principal, Hashable {
    /// The distinguished name, as RFC 4514 writes it: `CN=orders,O=Example`.
    public let name: String
    /// Alternative names that are hosts.
    public let dnsNames: [String]
    /// Alternative names that are URIs, such as a SPIFFE id.
    public let uris: [String]
    /// The SHA-256 of the certificate, in hexadecimal.
    public let fingerprint: String

    public init(name: String, dnsNames: [String], uris: [String], fingerprint: String) {
        self.name = name
        self.dnsNames = dnsNames
        self.uris = uris
        self.fingerprint = fingerprint
    }

    /// The first URI, or else the first host, or else the distinguished name.
    public var subject: String { "certificate:\(uris.first ?? dnsNames.first ?? name)" }
}

extension PeerCertificate: RequestContextKey {
    public typealias Value = PeerCertificate
}

/// The client's certificate. A request that came without one receives 401.
public struct ClientCertificate: RequestInput {
    public init() {}

    public func extract(from request: Request) throws -> PeerCertificate {
        guard let certificate = request.context[PeerCertificate.self] else {
            throw AppError(.unauthenticated, "This needs a connection with a client certificate.")
        }
        return certificate
    }
}
