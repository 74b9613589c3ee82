import SwiftASN1
import ApusHTTP
import Crypto
import NIOSSL
import X509

extension PeerCertificate {
    /// Parses a certificate that has been verified. Returns `nil` if it cannot be parsed.
    init?(_ certificate: NIOSSLCertificate) {
        guard let der = try? certificate.toDERBytes(), let parsed = try? Certificate(derEncoded: der) else {
            return nil
        }
        var dnsNames: [String] = []
        var uris: [String] = []
        for name in (try? parsed.extensions.subjectAlternativeNames) ?? SubjectAlternativeNames() {
            switch name {
            case .dnsName(let host): dnsNames.append(host)
            case .uniformResourceIdentifier(let uri): uris.append(uri)
            default: break
            }
        }
        self.init(
            name: String(describing: parsed.subject), dnsNames: dnsNames, uris: uris,
            fingerprint: SHA256.hash(data: der).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined())
    }
}
