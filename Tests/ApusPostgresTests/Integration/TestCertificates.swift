import Crypto
import Foundation
import SwiftASN1
import X509

/// A certificate authority, and a certificate that it has issued for `localhost`, in PEM format.
struct TestCertificates {
    /// A certificate and its key.
    struct Issued {
        let certificate: String
        let key: String
    }

    let authority: String
    /// For `localhost`.
    let server: Issued
    private let authorityKey: P256.Signing.PrivateKey
    private let name: DistinguishedName

    /// - Parameter expiry: In how many seconds the certificate for `localhost` expires.
    init(expiry: TimeInterval = 3600) throws {
        authorityKey = P256.Signing.PrivateKey()
        name = try DistinguishedName { CommonName("Test Authority") }
        let certificate = try Self.sign(name, by: name, authorityKey.publicKey, with: authorityKey) {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
            Critical(KeyUsage(keyCertSign: true))
        }
        authority = try certificate.serializeAsPEM().pemString
        server = try Self.issue("localhost", by: name, authorityKey, expiry: expiry)
    }

    /// Issues a certificate for a name.
    func issue(_ commonName: String) throws -> Issued { try Self.issue(commonName, by: name, authorityKey) }

    private static func issue(
        _ commonName: String, by issuer: DistinguishedName, _ authorityKey: P256.Signing.PrivateKey,
        expiry: TimeInterval = 3600
    ) throws -> Issued {
        let key = P256.Signing.PrivateKey()
        let certificate = try sign(
            DistinguishedName { CommonName(commonName) }, by: issuer, key.publicKey, with: authorityKey, expiry: expiry
        ) {
            SubjectAlternativeNames([.dnsName(commonName)])
        }
        return Issued(certificate: try certificate.serializeAsPEM().pemString, key: key.pemRepresentation)
    }

    private static func sign(
        _ subject: DistinguishedName, by issuer: DistinguishedName, _ publicKey: P256.Signing.PublicKey,
        with key: P256.Signing.PrivateKey, expiry: TimeInterval = 3600,
        @ExtensionsBuilder extensions: () -> Result<Certificate.Extensions, any Error>
    ) throws -> Certificate {
        try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(publicKey),
            notValidBefore: .now.addingTimeInterval(min(-60, expiry - 60)),
            notValidAfter: .now.addingTimeInterval(expiry),
            issuer: issuer, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: extensions().get(), issuerPrivateKey: .init(key))
    }
}
