import ApusCore

/// The byte ranges of a representation that a client requests (RFC 9110 §14).
package enum ByteRanges: Equatable {
    /// The complete representation: no range was requested, or the `Range` field is malformed, has too many ranges or has
    /// overlapping ranges.
    case all
    /// The ranges in the requested order. They do not overlap.
    case some([Range<Int>])
    /// 416: no requested range overlaps the representation.
    case unsatisfiable

    /// The maximum number of ranges. A request for more is answered with the complete representation, since each range adds
    /// a part header.
    static let maximumCount = 16

    /// Parses a `Range` field.
    /// - Parameter size: The size of the representation, in bytes.
    package init(_ field: String?, size: Int) {
        self = .all
        guard let (unit, list) = field?.cut(at: "="), unit.trimmed.asciiLowercased == "bytes" else { return }
        let specs = list.split(at: ",").filter { !$0.trimmed.isEmpty }
        guard (1...Self.maximumCount).contains(specs.count) else { return }
        // A suffix range of an empty representation is satisfied by all of it (RFC 9110 §14.1.2), but cannot be expressed in
        // `Content-Range`.
        if size == 0, specs.contains(where: { Self.isSuffix($0.trimmed) }) { return }
        var ranges: [Range<Int>] = []
        for spec in specs {
            guard let range = Self.range(spec.trimmed, size) else { return }
            if !range.isEmpty { ranges.append(range) }
        }
        // With overlapping ranges, a small request could cause a response many times the size of the file.
        let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
        guard zip(sorted, sorted.dropFirst()).allSatisfy({ $0.upperBound <= $1.lowerBound }) else { return }
        self = ranges.isEmpty ? .unsatisfiable : .some(ranges)
    }

    /// Returns whether a range specification is a suffix range of at least one byte.
    private static func isSuffix(_ text: Substring) -> Bool {
        text.starts(withBytesOf: "-") && number(Substring(text.utf8.dropFirst()).trimmed).map { $0 > 0 } ?? false
    }

    /// Parses `first-last`, `first-` or `-count`.
    /// - Returns: The range, which is empty if it lies outside of the representation; `nil` if it is malformed.
    private static func range(_ text: Substring, _ size: Int) -> Range<Int>? {
        guard let sides = text.cut(at: "-") else { return nil }
        let (first, last) = (sides.before.trimmed, sides.after.trimmed)
        switch (number(first), number(last)) {
        case (let first?, let last?):
            guard first <= last else { return nil }
            return first < size ? first..<min(last, size - 1) + 1 : 0..<0
        case (let first?, nil):
            guard last.isEmpty else { return nil }
            return first < size ? first..<size : 0..<0
        case (nil, let count?):
            guard first.isEmpty else { return nil }
            return max(0, size - count)..<size
        case (nil, nil): return nil
        }
    }

    /// Parses a number that consists of digits only. A number that exceeds `Int` is clamped.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int(text) ?? .max - 1
    }
}
