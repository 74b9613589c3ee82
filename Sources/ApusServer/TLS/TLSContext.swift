import ApusCore
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// The TLS context of a listener's new connections. It is rebuilt when the files change.
final class TLSContext: Sendable {
    private struct State {
        var context: NIOSSLContext
        var versions: [FileVersion?]
    }

    private let configuration: TLS
    private let state: Mutex<State>

    /// - Throws: An `AppError` with code `failedPrecondition` that tells which file cannot be used and why.
    init(_ configuration: TLS) async throws {
        self.configuration = configuration
        state = Mutex(try await Self.load(configuration))
    }

    var current: NIOSSLContext { state.withLock { $0.context } }

    /// Checks the files for changes until the task is cancelled. If changed files cannot be used, the current context
    /// stays.
    func watch(_ logger: Logger) async {
        guard !configuration.paths.isEmpty else { return }
        var rejected: [FileVersion?] = []
        while (try? await Task.sleep(for: configuration.reloadInterval)) != nil {
            let versions = await Self.versions(of: configuration)
            guard versions != state.withLock({ $0.versions }), versions != rejected else { continue }
            do {
                let loaded = try await Self.load(configuration)
                state.withLock { $0 = loaded }
                logger.info(
                    "certificate reloaded", metadata: ["files": .string(configuration.paths.joined(separator: ", "))])
            } catch {
                rejected = versions
                logger.error(
                    "The changed certificate cannot be used; the previous one stays in use.",
                    metadata: ["error": .string(AppError(wrapping: error).debugDescription)])
            }
        }
    }

    /// Reads the files on a thread pool, off the event loops.
    private static func load(_ configuration: TLS) async throws -> State {
        try await NIOThreadPool.singleton.runIfActive {
            // The versions are read before the contents, so that a change in between is noticed at the next check.
            let versions = configuration.paths.map(FileVersion.init)
            return State(context: try configuration.makeContext(), versions: versions)
        }
    }

    private static func versions(of configuration: TLS) async -> [FileVersion?] {
        (try? await NIOThreadPool.singleton.runIfActive { configuration.paths.map(FileVersion.init) }) ?? []
    }
}

/// The attributes that change when a file is written or replaced, also behind a symbolic link.
private struct FileVersion: Equatable {
    let modified: Date?
    let size: UInt64?
    let number: UInt64?

    init?(path: String) {
        let target =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) != nil
            ? URL(filePath: path).resolvingSymlinksInPath().path : path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: target) else { return nil }
        modified = attributes[.modificationDate] as? Date
        size = attributes[.size] as? UInt64
        number = attributes[.systemFileNumber] as? UInt64
    }
}

extension TLS {
    /// The paths of the files that the configuration refers to.
    fileprivate var paths: [String] {
        var paths: [String] = []
        if case .files(let certificate, let key) = source { paths = [certificate, key] }
        switch clientCertificates {
        case .none: break
        case .optional(let authorities), .required(let authorities): paths.append(authorities)
        }
        return paths
    }

    fileprivate func makeContext() throws -> NIOSSLContext {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
        switch source {
        case .files(let certificatePath, let keyPath):
            chain = try read("The certificate \(certificatePath)") {
                try NIOSSLCertificate.fromPEMFile(certificatePath)
            }
            key = try read("The private key \(keyPath)") { try NIOSSLPrivateKey(file: keyPath, format: .pem) }
        case .pem(let certificate, let secret):
            chain = try read("The certificate") { try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)) }
            key = try read("The private key") { try NIOSSLPrivateKey(bytes: Array(secret.reveal().utf8), format: .pem) }
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = minimumVersion == .tls13 ? .tlsv13 : .tlsv12
        configuration.applicationProtocols = ApplicationProtocolGate.supported
        configuration.shutdownTimeout = Self.shutdownTimeout
        configuration.cipherSuites = Self.forwardSecretCiphers
        switch clientCertificates {
        case .none: break
        case .optional(let path):
            configuration.certificateVerification = .optionalVerification
            configuration.trustRoots = .certificates(try authorities(path))
        case .required(let path):
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates(try authorities(path))
        }
        return try read("The certificate with its private key") { try NIOSSLContext(configuration: configuration) }
    }

    /// The cipher suites for TLS 1.2: only those with ephemeral keys and authenticated encryption, as RFC 9325 and RFC
    /// 9113 §9.2.2 demand. All suites of TLS 1.3 have both.
    private static let forwardSecretCiphers = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")

    /// How long a connection that ends may wait for the client's `close_notify` after its own.
    private static let shutdownTimeout = TimeAmount.seconds(2)

    private func authorities(_ path: String) throws -> [NIOSSLCertificate] {
        let authorities = try read("The file of client authorities \(path)") { try NIOSSLCertificate.fromPEMFile(path) }
        // With an empty list, the system's authorities would be trusted, and so every publicly issued certificate.
        guard !authorities.isEmpty else {
            throw AppError(.failedPrecondition, "The file of client authorities \(path) contains no certificate.")
        }
        return authorities
    }

    private func read<Value>(_ subject: String, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            throw AppError(
                .failedPrecondition,
                "\(subject) cannot be used. Certificates and private keys must be in PEM format and match. \(error)",
                cause: error)
        }
    }
}
