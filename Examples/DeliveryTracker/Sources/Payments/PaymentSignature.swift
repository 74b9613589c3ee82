import Apus
import Crypto
import FoundationEssentials

/// Signs and verifies deliveries to the payment provider's webhook.
///
/// A signature is `t=<seconds>,v1=<hex>`, where `<hex>` is the HMAC-SHA256 of `<seconds>.<body>` with the whole shared
/// secret as the key. There may be several `v1` values while the secret is rotated.
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
        var timestamp: Int64?
        var signatures: [[UInt8]] = []
        // Split by bytes: a combining mark after a comma would make it another character.
        for part in header.utf8.split(separator: UInt8(ascii: ",")) {
            let sides = part.split(separator: UInt8(ascii: "="), maxSplits: 1).map { Substring($0) }
            guard sides.count == 2 else { continue }
            switch sides[0] {
            case "t": timestamp = Int64(sides[1])
            case "v1": Self.bytes(hex: sides[1]).map { signatures.append($0) }
            default: break
            }
        }
        guard let timestamp, !signatures.isEmpty else {
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
        "Payment-Signature", in: .header,
        schema: .literal(["type": "string", "pattern": "^t=[0-9]{1,10},v1=[0-9a-f]{64}(,v1=[0-9a-f]{64})*$"]),
        description: "The time of the signature in seconds since 1970, and the signature in hexadecimal digits.")

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

    private static func bytes(hex: Substring) -> [UInt8]? {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count == hex.count, digits.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    private static func badSignature(_ message: String) -> AppError {
        AppError(.invalidArgument, message, reason: "BAD_SIGNATURE")
    }
}
