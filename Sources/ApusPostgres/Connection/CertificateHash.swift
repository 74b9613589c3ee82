import Crypto

/// The hash of a certificate for `tls-server-end-point` (RFC 5929 §4.1).
enum CertificateHash {
    /// Hashes a certificate with the hash function of its signature, or with SHA-256 if that is MD5 or SHA-1.
    /// - Parameter certificate: The certificate in DER format.
    /// - Returns: `nil` if the signature has no single hash function, such as Ed25519.
    static func hash(_ certificate: [UInt8]) -> [UInt8]? {
        guard let algorithm = signatureAlgorithm(certificate) else { return nil }
        switch algorithm {
        // sha256WithRSAEncryption, ecdsa-with-SHA256, md5WithRSAEncryption, sha1WithRSAEncryption, ecdsa-with-SHA1.
        case rsa + [11], ecdsa + [3, 2], rsa + [4], rsa + [5], ecdsa + [1]:
            return Array(SHA256.hash(data: certificate))
        case rsa + [12], ecdsa + [3, 3]: return Array(SHA384.hash(data: certificate))
        case rsa + [13], ecdsa + [3, 4]: return Array(SHA512.hash(data: certificate))
        default: return nil
        }
    }

    /// 1.2.840.113549.1.1 and 1.2.840.10045.4, encoded.
    private static let rsa: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1]
    private static let ecdsa: [UInt8] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 4]

    /// Returns the object identifier of the signature's algorithm, the second element of a certificate.
    private static func signatureAlgorithm(_ certificate: [UInt8]) -> [UInt8]? {
        var outer = certificate[...]
        guard var elements = element(0x30, &outer), element(0x30, &elements) != nil,
            var algorithm = element(0x30, &elements), let identifier = element(0x06, &algorithm)
        else { return nil }
        return Array(identifier)
    }

    /// Reads an element of a DER encoding and returns its content.
    private static func element(_ tag: UInt8, _ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard bytes.popFirst() == tag, let first = bytes.popFirst() else { return nil }
        var length = Int(first)
        if first >= 0x80 {
            guard (0x81...0x84).contains(first) else { return nil }
            length = 0
            for _ in 0..<first - 0x80 {
                guard let byte = bytes.popFirst() else { return nil }
                length = length << 8 | Int(byte)
            }
        }
        guard length <= bytes.count else { return nil }
        defer { bytes.removeFirst(length) }
        return bytes.prefix(length)
    }
}
