/// A range of addresses that share their first bits, as CIDR writes them: `10.0.0.0/8`, `2001:db8::/32`, or one address.
public struct IPNetwork: Hashable, Sendable {
    /// The first address.
    public let address: IPAddress
    /// How many bits all addresses share.
    public let prefixLength: Int

    /// - Throws: An `AppError` of code `invalidArgument` when the text is no network.
    public init(_ text: String) throws {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else {
            throw AppError(
                .invalidArgument, "\"\(text.prefix(64))\" is no network; one is written as 10.0.0.0/8 or 2001:db8::/32."
            )
        }
        let bits = address.bytes.count * 8
        let prefixLength = parts.count == 2 ? Int(parts[1]) : bits
        guard let prefixLength, (0...bits).contains(prefixLength) else {
            throw AppError(.invalidArgument, "The prefix of \"\(text.prefix(64))\" must be a number from 0 to \(bits).")
        }
        self.address = address
        self.prefixLength = prefixLength
    }

    public func contains(_ other: IPAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        let (whole, rest) = prefixLength.quotientAndRemainder(dividingBy: 8)
        guard other.bytes.prefix(whole) == address.bytes.prefix(whole) else { return false }
        return rest == 0 || (other.bytes[whole] ^ address.bytes[whole]) >> UInt8(8 - rest) == 0
    }
}
