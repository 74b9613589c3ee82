public import ApusCore

/// How a listener encrypts: TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 by ALPN.
public struct TLS: Sendable {
    /// Where the certificate and its key come from.
    public enum Source: Sendable {
        /// Paths of PEM files. They are read again when they change: connections that are open stay, new ones get the new
        /// certificate.
        case files(certificate: String, key: String)
        /// PEM texts.
        case pem(certificate: String, key: Secret<String>)
    }

    /// What is asked of clients. The authorities are a PEM file, which is read again as the certificate's is.
    public enum ClientCertificates: Sendable {
        case none
        /// A certificate is checked if the client has one.
        case optional(authorities: String)
        /// Without a certificate of these authorities there is no connection.
        case required(authorities: String)
    }

    /// The oldest version that is spoken. TLS 1.1 and older are never.
    public enum Version: Sendable {
        case tls12, tls13
    }

    /// The server's certificate, with those between it and its authority after it.
    public var source: Source
    /// None by default.
    public var clientCertificates: ClientCertificates
    /// TLS 1.2 by default.
    public var minimumVersion: Version
    /// How often the files are looked at. 10 seconds by default.
    public var reloadInterval = Duration.seconds(10)

    public init(
        _ source: Source, clientCertificates: ClientCertificates = .none, minimumVersion: Version = .tls12
    ) {
        self.source = source
        self.clientCertificates = clientCertificates
        self.minimumVersion = minimumVersion
    }
}
