import ApusCore

/// The parts of a representation that a client asks for (RFC 9110 §14).
package enum ByteRanges: Equatable {
    /// All of it: no range was asked for, or what was is not to be understood or not worth it.
    case all
    /// These, in the order in which they were asked for; none of them overlap.
    case some([Range<Int>])
    /// 416: none of what was asked for is there.
    case unsatisfiable

    /// More than these are answered with all of it: each costs a header.
    static let maximumCount = 16

    package init(_ field: String?, size: Int) {
        self = .all
        guard let (unit, list) = field?.cut(at: "="), unit.trimmed.asciiLowercased == "bytes" else { return }
        let specs = list.split(at: ",").filter { !$0.trimmed.isEmpty }
        guard (1...Self.maximumCount).contains(specs.count) else { return }
        // The last bytes of nothing are all of it (RFC 9110 §14.1.2), which no `Content-Range` can say.
        if size == 0, specs.contains(where: { Self.isSuffix($0.trimmed) }) { return }
        var ranges: [Range<Int>] = []
        for spec in specs {
            guard let range = Self.range(spec.trimmed, size) else { return }
            if !range.isEmpty { ranges.append(range) }
        }
        // Ranges that overlap make a small request ask for many times the file.
        let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
        guard zip(sorted, sorted.dropFirst()).allSatisfy({ $0.upperBound <= $1.lowerBound }) else { return }
        self = ranges.isEmpty ? .unsatisfiable : .some(ranges)
    }

    /// Whether the last bytes are asked for, one at least.
    private static func isSuffix(_ text: Substring) -> Bool {
        text.starts(withBytesOf: "-") && number(text.dropFirst().trimmed).map { $0 > 0 } ?? false
    }

    /// `first-last`, `first-` or `-count`.
    /// - Returns: An empty range for one that is not there, `nil` for what is none.
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

    /// Digits alone. More than fit are as good as the greatest.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int(text) ?? .max - 1
    }
}
