import Apus
import Crypto
import FoundationEssentials

/// Signs and verifies deliveries to the payment provider's webhook.
///
/// A signature is `t=<seconds>,v1=<hex>`, where `<hex>` is the HMAC-SHA256 of `<seconds>.<body>` with the whole shared
/// secret as the key. There may be several `v1` values while the secret is rotated. Other versions are ignored.
struct PaymentSignature: Sendable {
    private let secret: Secret<String>
    private let tolerance: Duration
    private let clock: any WallClock

    /// - Parameter tolerance: The maximum difference between a signature's timestamp and the current time. It limits
    ///   replays.
    init(secret: Secret<String>, tolerance: Duration = .seconds(300), clock: any WallClock) {
        self.secret = secret
        self.tolerance = tolerance
        self.clock = clock
    }

    /// Verifies the signature of a body.
    /// - Returns: When the body was signed.
    /// - Throws: An `AppError` with the code `invalidArgument` if the signature is missing, malformed, expired or
    ///   wrong.
    func verify(_ header: String?, body: some Collection<UInt8>) throws -> Date {
        guard let header else { throw Self.badSignature("The Payment-Signature header is missing.") }
        guard let (timestamp, signatures) = Self.parse(header) else {
            throw Self.badSignature("The Payment-Signature header must have the form t=<seconds>,v1=<hex>.")
        }
        let expected = mac(timestamp, body)
        // All signatures are compared, each in constant time.
        let matches = signatures.map { constantTimeEqual($0, expected) }
        guard matches.contains(true) else { throw Self.badSignature("The signature does not match the body.") }
        let signedAt = Date(timeIntervalSince1970: Double(timestamp))
        guard abs(clock.now.timeIntervalSince(signedAt)) <= tolerance.seconds else {
            throw Self.badSignature(
                "The signature's timestamp is not within \(Int(tolerance.seconds)) seconds of the current time.")
        }
        return signedAt
    }

    /// The header in the API description.
    static let parameter = OpenAPI.Parameter(
        "Payment-Signature", in: .header, schema: .literal(["type": "string", "pattern": .string(pattern)]),
        description: """
            The time of the signature in seconds since 1970, and signatures of one or several versions. One of version 1 \
            must match.
            """)

    private static let pattern = "^t=[0-9]{1,10}(,v[0-9]=[0-9A-Za-z]+)*,v1=[0-9a-f]{64}(,v[0-9]=[0-9A-Za-z]+)*$"

    /// Returns the header value for a body, as the provider sends it, or the simulator in its place.
    func sign(_ body: some Collection<UInt8>) -> String {
        let timestamp = Int64(clock.now.timeIntervalSince1970)
        let digits = Array("0123456789abcdef")
        let hex = mac(timestamp, body).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return "t=\(timestamp),v1=\(String(hex))"
    }

    private func mac(_ timestamp: Int64, _ body: some Collection<UInt8>) -> [UInt8] {
        let key = SymmetricKey(data: Data(secret.reveal().utf8))
        return Array(HMAC<SHA256>.authenticationCode(for: Data("\(timestamp).".utf8) + Data(body), using: key))
    }

    /// Returns the time and the signatures of version 1; `nil` if the header does not match ``pattern``.
    ///
    /// By bytes: a combining mark after a comma would make it another character, and Unicode has more digits than ASCII.
    private static func parse(_ header: String) -> (timestamp: Int64, signatures: [[UInt8]])? {
        var parts = header.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)[...]
        guard let time = parts.popFirst(), time.starts(with: "t=".utf8), (3...12).contains(time.count),
            time.dropFirst(2).allSatisfy(isDigit), let timestamp = Int64(Substring(time.dropFirst(2)))
        else { return nil }
        var signatures: [[UInt8]] = []
        for part in parts {
            let bytes = Array(part)
            guard bytes.count > 3, bytes[0] == UInt8(ascii: "v"), isDigit(bytes[1]), bytes[2] == UInt8(ascii: "="),
                bytes[3...].allSatisfy({ isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) })
            else { return nil }
            if bytes[1] == UInt8(ascii: "1"), let signature = decoded(hex: bytes[3...]) { signatures.append(signature) }
        }
        return signatures.isEmpty ? nil : (timestamp, signatures)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func decoded(hex: ArraySlice<UInt8>) -> [UInt8]? {
        let digits = hex.compactMap { digit -> UInt8? in
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard hex.count == 64, digits.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func badSignature(_ message: String) -> AppError {
        AppError(.invalidArgument, message, reason: "BAD_SIGNATURE")
    }
}
