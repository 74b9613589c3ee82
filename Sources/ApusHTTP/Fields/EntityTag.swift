import ApusCore

/// An entity tag (RFC 9110 §8.8.3), which identifies one state of a representation.
public struct EntityTag: Sendable, Hashable, CustomStringConvertible {
    /// Whether equal tags only mean that two states are equivalent, not that their bytes are identical.
    public let isWeak: Bool
    /// The text between the quotes.
    public let value: String

    /// Creates a tag.
    /// - Parameter value: Printable ASCII without quotes.
    public init(_ value: String, isWeak: Bool = false) {
        self.value = value
        self.isWeak = isWeak
    }

    /// The tag as it appears in a field: `"abc"`, `W/"abc"`.
    public var description: String { "\(isWeak ? "W/" : "")\"\(value)\"" }

    /// Parses a tag in the format of ``description``; `nil` for anything else.
    public init?(parsing text: some StringProtocol) {
        let isWeak = text.starts(withBytesOf: "W/")
        let quoted = Substring(text).utf8.dropFirst(isWeak ? 2 : 0)
        let quote = UInt8(ascii: "\"")
        guard quoted.count >= 2, quoted.first == quote, quoted.last == quote else { return nil }
        let value = quoted.dropFirst().dropLast()
        guard value.allSatisfy({ $0 == 0x21 || (0x23...0x7E).contains($0) || $0 >= 0x80 }) else { return nil }
        self.init(String(Substring(value)), isWeak: isWeak)
    }

    /// Parses a list such as `"a", W/"b"`. Malformed tags are left out, because no tag is equal to them.
    static func list(_ field: String) -> [EntityTag] {
        // A comma may be part of a tag.
        var isQuoted = false
        let parts = Substring(field).utf8.split { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == UInt8(ascii: ",") && !isQuoted
        }
        return parts.compactMap { EntityTag(parsing: Substring($0).trimmed) }
    }

    /// Returns whether two tags are equivalent (RFC 9110 §8.8.3.2, weak comparison).
    func isEquivalent(to other: EntityTag) -> Bool { value.isExactly(other.value) }

    /// Returns whether two tags identify the same bytes (strong comparison).
    func isIdentical(to other: EntityTag) -> Bool { !isWeak && !other.isWeak && value.isExactly(other.value) }
}
