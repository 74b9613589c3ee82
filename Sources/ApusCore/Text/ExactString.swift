/// A string that is compared by its code units, for names, keys and other text that protocols compare byte by byte.
///
/// Swift's `String` is compared by canonical equivalence: `é` as one scalar equals `e` with a combining accent, and the
/// Kelvin sign (U+212A) equals `K`. JSON keys (RFC 8259 §8.3), cookie names and job kinds must not be compared this
/// way.
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
    /// Returns whether both texts have the same code units.
    package func isExactly(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}

extension Sequence where Element: StringProtocol {
    /// Returns whether an element has the same code units as a text.
    package func containsExactly(_ text: some StringProtocol) -> Bool { contains { $0.isExactly(text) } }
}
