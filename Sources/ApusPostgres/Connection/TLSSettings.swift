import ApusCore
import NIOSSL

/// How connections are encrypted. The context is created once for all connections.
struct TLSSettings: Sendable {
    /// How one attempt to connect is encrypted.
    enum Attempt {
        case plain
        /// Encrypted if the server offers it.
        case encryptedIfOffered
        case encrypted
    }

    let mode: PostgresConfiguration.TLSMode
    private let context: NIOSSLContext?

    /// - Throws: An `AppError` of code `invalidArgument` if a certificate or the key cannot be read.
    init(_ configuration: PostgresConfiguration) throws {
        mode = configuration.tls
        guard mode != .disable else {
            context = nil
            return
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let path = configuration.rootCertificate {
            let certificates = try Self.read("sslrootcert", path) { try NIOSSLCertificate.fromPEMFile(path) }
            tls.trustRoots = .certificates(certificates)
        }
        if let path = configuration.clientCertificate {
            guard let key = configuration.clientKey else {
                throw AppError(.invalidArgument, "sslcert is set, but not sslkey, the file with its key.")
            }
            let certificates = try Self.read("sslcert", path) { try NIOSSLCertificate.fromPEMFile(path) }
            tls.certificateChain = certificates.map { .certificate($0) }
            tls.privateKey = .privateKey(try Self.read("sslkey", key) { try NIOSSLPrivateKey(file: key, format: .pem) })
        }
        switch mode {
        case .disable, .allow, .prefer: tls.certificateVerification = .none
        case .require:
            // As libpq: a root certificate would otherwise be ignored silently.
            tls.certificateVerification = configuration.rootCertificate == nil ? .none : .noHostnameVerification
        case .verifyCA: tls.certificateVerification = .noHostnameVerification
        case .verifyFull: tls.certificateVerification = .fullVerification
        }
        do {
            context = try NIOSSLContext(configuration: tls)
        } catch {
            throw AppError(
                .invalidArgument, "The settings for TLS do not fit each other, such as sslcert and sslkey.",
                cause: error)
        }
    }

    private static func read<Value>(_ setting: String, _ path: String, _ read: () throws -> Value) throws -> Value {
        do {
            return try read()
        } catch {
            throw AppError(.invalidArgument, "\(setting): \(path) cannot be read as PEM.", cause: error)
        }
    }

    /// Returns how a host is connected to. If the server refuses the first attempt because of how it is encrypted, the
    /// second one follows.
    func attempts(for host: PostgresConfiguration.Host) -> [Attempt] {
        if case .unixSocket = host { return [.plain] }
        return switch mode {
        case .disable: [.plain]
        case .allow: [.plain, .encryptedIfOffered]
        case .prefer: [.encryptedIfOffered, .plain]
        case .require, .verifyCA, .verifyFull: [.encrypted]
        }
    }

    func makeHandler(for host: PostgresConfiguration.Host) throws -> NIOSSLClientHandler? {
        guard let context, case .tcp(let name, _) = host else { return nil }
        // Server name indication is for names. An address is verified against the socket's.
        return try NIOSSLClientHandler(context: context, serverHostname: IPAddress(name) == nil ? name : nil)
    }
}
