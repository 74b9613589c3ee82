import Crypto
import Foundation
import SwiftASN1
import X509

/// A certificate authority and a certificate that it has issued for `localhost`, in PEM format.
struct TestCertificates {
    let authority: String
    let certificate: String
    let key: String

    init() throws {
        let (authorityKey, serverKey) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
        let name = try DistinguishedName { CommonName("Test Authority") }
        let authority = try Self.sign(name, by: name, authorityKey.publicKey, with: authorityKey) {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
            Critical(KeyUsage(keyCertSign: true))
        }
        let server = try Self.sign(
            DistinguishedName { CommonName("localhost") }, by: name, serverKey.publicKey, with: authorityKey
        ) {
            SubjectAlternativeNames([.dnsName("localhost")])
        }
        self.authority = try authority.serializeAsPEM().pemString
        certificate = try server.serializeAsPEM().pemString
        key = serverKey.pemRepresentation
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
