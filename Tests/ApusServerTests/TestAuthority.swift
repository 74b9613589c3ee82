import ApusCore
import Crypto
import Foundation
import NIOCore
import NIOSSL
import SwiftASN1
import X509

@testable import ApusServer

/// A certificate authority for tests.
struct TestAuthority {
    /// A certificate and its private key, in PEM format.
    struct Identity {
        let certificate: String
        let key: String

        var source: TLS.Source { .pem(certificate: certificate, key: Secret(key)) }
    }

    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName
    private let certificate: Certificate

    init(_ name: String = "Test Authority") throws {
        self.name = try DistinguishedName { CommonName(name) }
        certificate = try Self.sign(self.name, by: self.name, key.publicKey, with: key) {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
            Critical(KeyUsage(keyCertSign: true))
        }
    }

    var pem: String { get throws { try certificate.serializeAsPEM().pemString } }

    /// Issues a certificate.
    /// - Parameter uri: A subject alternative name in addition to the host.
    func issue(_ host: String, uri: String? = nil) throws -> Identity {
        let leafKey = P256.Signing.PrivateKey()
        let names = [GeneralName.dnsName(host)] + (uri.map { [.uniformResourceIdentifier($0)] } ?? [])
        let leaf = try Self.sign(DistinguishedName { CommonName(host) }, by: name, leafKey.publicKey, with: key) {
            SubjectAlternativeNames(names)
        }
        return Identity(certificate: try leaf.serializeAsPEM().pemString, key: leafKey.pemRepresentation)
    }

    /// Returns the TLS context of a client that trusts this authority.
    /// - Parameter shutdownTimeout: How long a client that closes waits for the server's `close_notify`.
    func clientContext(
        _ identity: Identity? = nil, protocols: [String] = [], version: TLSVersion? = nil,
        shutdownTimeout: TimeAmount? = nil
    ) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)))
        configuration.applicationProtocols = protocols
        if let shutdownTimeout { configuration.shutdownTimeout = shutdownTimeout }
        if let version {
            configuration.minimumTLSVersion = .tlsv1
            configuration.maximumTLSVersion = version
        }
        if let identity {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificate.utf8))
                .map { .certificate($0) }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem))
        }
        return try NIOSSLContext(configuration: configuration)
    }

    private static func sign(
        _ subject: DistinguishedName, by issuer: DistinguishedName, _ publicKey: P256.Signing.PublicKey,
        with key: P256.Signing.PrivateKey,
        @ExtensionsBuilder extensions: () -> Result<Certificate.Extensions, any Error>
    ) throws -> Certificate {
        try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(publicKey),
            notValidBefore: .now.addingTimeInterval(-60), notValidAfter: .now.addingTimeInterval(3600),
            issuer: issuer, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: extensions().get(), issuerPrivateKey: .init(key))
    }
}
