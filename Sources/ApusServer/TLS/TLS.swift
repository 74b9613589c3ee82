public import ApusCore

/// The TLS configuration of a listener: TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 negotiated by ALPN.
public struct TLS: Sendable {
    /// The source of the certificate and its private key.
    public enum Source: Sendable {
        /// Paths of PEM files. They are reloaded when they change: new connections use the new certificate, and open
        /// ones are not affected.
        case files(certificate: String, key: String)
        /// PEM-encoded text.
        case pem(certificate: String, key: Secret<String>)
    }

    /// Whether clients present a certificate. The authorities are in a PEM file, which is reloaded like the
    /// certificate.
    public enum ClientCertificates: Sendable {
        /// Clients are not asked for a certificate.
        case none
        /// Clients may present a certificate, which is then verified.
        case optional(authorities: String)
        /// Clients must present a certificate signed by one of these authorities.
        case required(authorities: String)
    }

    /// The minimum version of TLS. TLS 1.1 and older are never accepted.
    public enum Version: Sendable {
        case tls12, tls13
    }

    /// The server's certificate, followed by any intermediate certificates, and its private key.
    public var source: Source
    /// Whether clients present a certificate. `none` by default.
    public var clientCertificates: ClientCertificates
    /// The minimum version of TLS. TLS 1.2 by default.
    public var minimumVersion: Version
    /// How often the files are checked for changes. 10 seconds by default.
    public var reloadInterval = Duration.seconds(10)

    /// Creates a TLS configuration.
    public init(
        _ source: Source, clientCertificates: ClientCertificates = .none, minimumVersion: Version = .tls12
    ) {
        self.source = source
        self.clientCertificates = clientCertificates
        self.minimumVersion = minimumVersion
    }
}
