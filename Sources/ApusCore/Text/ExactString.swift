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

// Other modules call generic functions unspecialized, at some thousand instructions each. These run for every request.

extension String {
    /// Returns whether both texts have the same code units.
    package func isExactly(_ other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        let isEqual = utf8.withContiguousStorageIfAvailable { bytes in
            other.utf8.withContiguousStorageIfAvailable { Self.areEqual(bytes, $0) }
        }
        return (isEqual ?? nil) ?? utf8.elementsEqual(other.utf8)
    }

    /// Compares bytes of the same count, eight at a time.
    private static func areEqual(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.baseAddress != right.baseAddress else { return true }
        let (left, right) = (UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
        var offset = 0
        while offset + 8 <= left.count {
            guard
                left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    == right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            else { return false }
            offset += 8
        }
        while offset < left.count {
            guard left[offset] == right[offset] else { return false }
            offset += 1
        }
        return true
    }
}

extension [String] {
    /// Returns whether an element has the same code units as a text.
    package func containsExactly(_ text: String) -> Bool { contains { $0.isExactly(text) } }

    /// Returns the index of the first element with the same code units as a text.
    package func firstIndex(ofExactly text: String) -> Int? { firstIndex { $0.isExactly(text) } }
}

extension Sequence where Element: StringProtocol {
    /// Returns whether an element has the same code units as a text.
    package func containsExactly(_ text: some StringProtocol) -> Bool { contains { $0.isExactly(text) } }
}
