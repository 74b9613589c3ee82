/// A string that is equal to another one if both have the same code units: for names, keys and whatever else a protocol
/// compares byte by byte.
///
/// Swift's `String` compares by canonical equivalence: `é` as one scalar equals `e` with a combining accent, and the Kelvin sign
/// (U+212A) equals `K`. JSON keys (RFC 8259 §8.3), cookie names or job kinds must not.
package struct ExactString: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (left: ExactString, right: ExactString) -> Bool { left.text.isExactly(right.text) }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(0xFF as UInt8)
    }
}

extension StringProtocol {
    /// Whether both have the same code units.
    package func isExactly(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}

extension Sequence where Element: StringProtocol {
    /// Whether one of the elements has exactly these code units.
    package func containsExactly(_ text: some StringProtocol) -> Bool { contains { $0.isExactly(text) } }
}
