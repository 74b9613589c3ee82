/// A range of IP addresses in CIDR notation, such as `10.0.0.0/8` or `2001:db8::/32`, or a single address.
public struct IPNetwork: Hashable, Sendable {
    /// The address before the slash. Bits after the prefix are kept as given.
    public let address: IPAddress
    /// The number of leading bits that all addresses share.
    public let prefixLength: Int

    /// Parses a network in CIDR notation or a single address.
    /// - Throws: An `AppError` with code `invalidArgument` if the text is not a network.
    public init(_ text: String) throws {
        let parts = text.split(at: "/", maximumSplits: 1, omittingEmpty: false)
        guard let address = IPAddress(String(parts[0])) else {
            throw AppError(
                .invalidArgument,
                "\"\(text.prefix(64))\" is not a network in CIDR notation, such as 10.0.0.0/8 or 2001:db8::/32.")
        }
        let bits = address.bytes.count * 8
        let hasSign = parts.count == 2 && parts[1].utf8.first == UInt8(ascii: "+")
        let prefixLength = parts.count == 1 ? bits : hasSign ? nil : Int(parts[1])
        guard let prefixLength, (0...bits).contains(prefixLength) else {
            throw AppError(
                .invalidArgument, "The prefix length of \"\(text.prefix(64))\" must be an integer from 0 to \(bits).")
        }
        self.address = address
        self.prefixLength = prefixLength
    }

    /// Returns whether an address is in the network.
    public func contains(_ other: IPAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        let (whole, rest) = prefixLength.quotientAndRemainder(dividingBy: 8)
        guard other.bytes.prefix(whole) == address.bytes.prefix(whole) else { return false }
        return rest == 0 || (other.bytes[whole] ^ address.bytes[whole]) >> UInt8(8 - rest) == 0
    }
}
