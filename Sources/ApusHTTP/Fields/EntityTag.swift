/// An entity tag (RFC 9110 §8.8.3): names one state of what a response shows.
public struct EntityTag: Sendable, Hashable, CustomStringConvertible {
    /// Whether it only says that two states mean the same, not that they are the same bytes.
    public let isWeak: Bool
    /// What is between the quotes.
    public let value: String

    /// - Parameter value: Printable ASCII without quotes.
    public init(_ value: String, isWeak: Bool = false) {
        self.value = value
        self.isWeak = isWeak
    }

    /// As it stands in a field: `"abc"`, `W/"abc"`.
    public var description: String { "\(isWeak ? "W/" : "")\"\(value)\"" }

    /// Reads what ``description`` gives; `nil` for anything else.
    public init?(parsing text: some StringProtocol) {
        let isWeak = text.hasPrefix("W/")
        let quoted = text.dropFirst(isWeak ? 2 : 0)
        guard quoted.utf8.count >= 2, quoted.first == "\"", quoted.last == "\"" else { return nil }
        let value = quoted.dropFirst().dropLast()
        guard value.utf8.allSatisfy({ $0 == 0x21 || (0x23...0x7E).contains($0) || $0 >= 0x80 }) else { return nil }
        self.init(String(value), isWeak: isWeak)
    }

    /// The tags of a list such as `"a", W/"b"`. What is none is left out: no tag is equal to it.
    static func list(_ field: String) -> [EntityTag] {
        field.split(separator: ",").compactMap { EntityTag(parsing: $0.trimmed) }
    }

    /// Whether both mean the same (RFC 9110 §8.8.3.2, weak comparison).
    func isEquivalent(to other: EntityTag) -> Bool { value == other.value }

    /// Whether both are the same bytes (strong comparison).
    func isIdentical(to other: EntityTag) -> Bool { !isWeak && !other.isWeak && value == other.value }
}
