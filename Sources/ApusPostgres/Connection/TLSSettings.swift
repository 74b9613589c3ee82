import ApusCore
import NIOSSL

/// How connections are encrypted. The context is created once for all connections.
struct TLSSettings: Sendable {
    let mode: PostgresConfiguration.TLSMode
    private let context: NIOSSLContext?

    /// - Throws: An `AppError` of code `invalidArgument` if the root certificate cannot be read.
    init(_ configuration: PostgresConfiguration) throws {
        mode = configuration.tls
        guard mode != .disable else {
            context = nil
            return
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let path = configuration.rootCertificate {
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(path))
            } catch {
                throw AppError(
                    .invalidArgument, "sslrootcert: the certificates in \(path) cannot be read.", cause: error)
            }
        }
        switch mode {
        case .disable, .prefer: tls.certificateVerification = .none
        case .require:
            // As libpq: a root certificate would otherwise be ignored silently.
            tls.certificateVerification = configuration.rootCertificate == nil ? .none : .noHostnameVerification
        case .verifyCA: tls.certificateVerification = .noHostnameVerification
        case .verifyFull: tls.certificateVerification = .fullVerification
        }
        context = try NIOSSLContext(configuration: tls)
    }

    /// Whether to ask the server for encryption.
    func isWanted(by host: PostgresConfiguration.Host) -> Bool {
        if case .unixSocket = host { return false }
        return mode != .disable
    }

    /// Whether a connection that is not encrypted is refused.
    var isRequired: Bool {
        switch mode {
        case .disable, .prefer: false
        case .require, .verifyCA, .verifyFull: true
        }
    }

    func makeHandler(for host: PostgresConfiguration.Host) throws -> NIOSSLClientHandler? {
        guard let context, case .tcp(let name, _) = host else { return nil }
        // Server name indication is for names. An address is verified against the socket's.
        return try NIOSSLClientHandler(context: context, serverHostname: IPAddress(name) == nil ? name : nil)
    }
}
