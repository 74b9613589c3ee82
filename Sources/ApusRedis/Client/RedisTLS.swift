import ApusCore
import NIOSSL

/// The TLS configuration of a client: TLS 1.2 and 1.3.
public struct RedisTLS: Sendable {
    /// The certificate authorities that sign the servers' certificates.
    public enum Authorities: Sendable, Hashable {
        /// The authorities of the system.
        case system
        /// The authorities in a PEM file.
        case file(String)
        /// PEM-encoded text.
        case pem(String)
    }

    /// The authorities. Those of the system by default.
    public var authorities: Authorities
    /// The path of the client's certificate in PEM format, followed by any intermediate certificates. `nil` by default.
    public var certificate: String?
    /// The path of the private key of the client's certificate.
    public var key: String?
    /// The name that the servers' certificates must have. The host that is connected to by default.
    public var serverName: String?
    /// Whether the name in a server's certificate is checked. `true` by default. Servers of a cluster often announce
    /// addresses that are not in their certificates; the authority is checked all the same.
    public var checksServerName = true

    /// Creates a TLS configuration.
    public init(authorities: Authorities = .system) { self.authorities = authorities }

    /// - Throws: An `AppError` with code `failedPrecondition` that names the file that cannot be used.
    func makeContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = checksServerName ? .fullVerification : .noHostnameVerification
        switch authorities {
        case .system: break
        case .file(let path):
            let certificates = try read("The authorities in \(path)") { try NIOSSLCertificate.fromPEMFile(path) }
            // With an empty list, the authorities of the system would be trusted.
            guard !certificates.isEmpty else {
                throw AppError(.failedPrecondition, "The file of authorities \(path) contains no certificate.")
            }
            configuration.trustRoots = .certificates(certificates)
        case .pem(let text):
            let certificates = try read("The authorities") { try NIOSSLCertificate.fromPEMBytes(Array(text.utf8)) }
            guard !certificates.isEmpty else {
                throw AppError(.failedPrecondition, "The text of the authorities contains no certificate.")
            }
            configuration.trustRoots = .certificates(certificates)
        }
        switch (certificate, key) {
        case (nil, nil): break
        case (let certificate?, let key?):
            let chain = try read("The certificate \(certificate)") { try NIOSSLCertificate.fromPEMFile(certificate) }
            configuration.certificateChain = chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(
                try read("The private key \(key)") { try NIOSSLPrivateKey(file: key, format: .pem) })
        case (_?, nil), (nil, _?):
            throw AppError(.failedPrecondition, "A client certificate for Redis needs both a certificate and its key.")
        }
        return try read("The TLS configuration") { try NIOSSLContext(configuration: configuration) }
    }

    private func read<Value>(_ subject: String, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            throw AppError(
                .failedPrecondition, "\(subject) cannot be used for Redis. Files must be in PEM format. \(error)",
                cause: error)
        }
    }
}
