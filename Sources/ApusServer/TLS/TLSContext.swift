import ApusCore
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// What new connections of a listener are encrypted with: made of its files, and made anew when they change.
final class TLSContext: Sendable {
    private struct State {
        var context: NIOSSLContext
        var versions: [FileVersion?]
    }

    private let configuration: TLS
    private let state: Mutex<State>

    /// - Throws: An `AppError` of code `failedPrecondition`: which file cannot be used, and why.
    init(_ configuration: TLS) async throws {
        self.configuration = configuration
        state = Mutex(try await Self.load(configuration))
    }

    var current: NIOSSLContext { state.withLock { $0.context } }

    /// Looks at the files again and again until the task is cancelled. Files that cannot be used leave everything as it was.
    func watch(_ logger: Logger) async {
        guard !configuration.paths.isEmpty else { return }
        var refused: [FileVersion?] = []
        while (try? await Task.sleep(for: configuration.reloadInterval)) != nil {
            let versions = await Self.versions(of: configuration)
            guard versions != state.withLock({ $0.versions }), versions != refused else { continue }
            do {
                let loaded = try await Self.load(configuration)
                state.withLock { $0 = loaded }
                logger.info(
                    "certificate reloaded", metadata: ["files": .string(configuration.paths.joined(separator: ", "))])
            } catch {
                refused = versions
                logger.error(
                    "The changed certificate cannot be used; the former one stays.",
                    metadata: ["error": .string(AppError(wrapping: error).debugDescription)])
            }
        }
    }

    /// Files are read away from the event loops.
    private static func load(_ configuration: TLS) async throws -> State {
        try await NIOThreadPool.singleton.runIfActive {
            // Looked at before they are read: a change in between is seen the next time.
            let versions = configuration.paths.map(FileVersion.init)
            return State(context: try configuration.makeContext(), versions: versions)
        }
    }

    private static func versions(of configuration: TLS) async -> [FileVersion?] {
        (try? await NIOThreadPool.singleton.runIfActive { configuration.paths.map(FileVersion.init) }) ?? []
    }
}

/// What changes when a file is written or replaced, also behind a symbolic link.
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
    /// The files that it reads.
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
        configuration.applicationProtocols = ["h2", "http/1.1"]
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
        return try read("The certificate with its key") { try NIOSSLContext(configuration: configuration) }
    }

    /// For TLS 1.2: ephemeral keys and authenticated encryption alone, as RFC 9325 and RFC 9113 §9.2.2 want. The suites of
    /// TLS 1.3 are all of that kind.
    private static let forwardSecretCiphers = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")

    private func authorities(_ path: String) throws -> [NIOSSLCertificate] {
        let authorities = try read("The file of client authorities \(path)") { try NIOSSLCertificate.fromPEMFile(path) }
        // Without any, the system's would count: every certificate that the web knows.
        guard !authorities.isEmpty else {
            throw AppError(.failedPrecondition, "The file of client authorities \(path) has no certificate.")
        }
        return authorities
    }

    private func read<Value>(_ what: String, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            throw AppError(
                .failedPrecondition, "\(what) cannot be used: it must be PEM, and fit. \(error)", cause: error)
        }
    }
}
