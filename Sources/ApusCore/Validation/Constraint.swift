import Synchronization

/// A condition on one value, with the words for those who break it.
public struct Constraint<Value>: Sendable {
    let code: String
    let message: String
    let keywords: [SchemaKeyword]
    let holds: @Sendable (Value) -> Bool

    /// A condition of your own.
    /// - Parameters:
    ///   - code: Stable, for programs, such as `not_a_plate`.
    ///   - message: A phrase that goes on from the field's name: `must be a number plate`.
    ///   - keywords: What the schema of the field says of it.
    public static func custom(
        code: String, message: String, keywords: SchemaKeyword..., holds: @escaping @Sendable (Value) -> Bool
    ) -> Constraint {
        Constraint(code: code, message: message, keywords: keywords, holds: holds)
    }
}

extension Constraint where Value: Comparable & Sendable {
    /// Within bounds, both included. A NaN is never within bounds.
    public static func range(_ bounds: ClosedRange<Value>) -> Constraint {
        var keywords: [SchemaKeyword] = []
        if let lower = number(bounds.lowerBound) { keywords.append(.minimum(lower)) }
        if let upper = number(bounds.upperBound) { keywords.append(.maximum(upper)) }
        return Constraint(
            code: "out_of_range", message: "must be from \(bounds.lowerBound) to \(bounds.upperBound)",
            keywords: keywords
        ) { bounds.contains($0) }
    }

    private static func number(_ value: Value) -> Double? {
        switch value {
        case let value as any BinaryInteger: Double(value)
        case let value as any BinaryFloatingPoint: Double(value)
        default: nil
        }
    }
}

extension Constraint where Value == String {
    /// A number of characters, both bounds included. Counted as JSON Schema counts, in Unicode scalars: what a reader takes
    /// for one letter may be a million of them.
    public static func length(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(
            code: "length", message: "must have \(bounds.lowerBound) to \(bounds.upperBound) characters",
            keywords: [.minLength(bounds.lowerBound), .maxLength(bounds.upperBound)]
        ) { bounds.contains($0.unicodeScalars.count) }
    }

    /// Text of one line: a number of characters, both bounds included, and no control characters, as for names and titles.
    public static func line(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(
            code: "length",
            message: "must have \(bounds.lowerBound) to \(bounds.upperBound) characters, on one line",
            keywords: [
                .minLength(bounds.lowerBound), .maxLength(bounds.upperBound),
                .pattern(#"^[^\u0000-\u001f\u007f-\u009f]*$"#),
            ]
        ) { text in
            bounds.contains(text.unicodeScalars.count)
                && !text.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
        }
    }

    /// An e-mail address by its shape, as browsers see it (the HTML standard, §4.10.5.1.5), with a dot in its domain: 254
    /// ASCII characters at most.
    public static var email: Constraint {
        Constraint(
            code: "email", message: "must be an e-mail address such as ada@example.org",
            keywords: [.format("email"), .maxLength(254)]
        ) { text in
            let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
            guard text.utf8.count <= 254, parts.count == 2, !parts[0].isEmpty else { return false }
            guard parts[0].allSatisfy({ isAlphanumeric($0) || ".!#$%&'*+/=?^_`{|}~-".utf8.contains($0) }) else {
                return false
            }
            let labels = parts[1].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            return labels.count >= 2
                && labels.allSatisfy { label in
                    (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
                        && label.last != UInt8(ascii: "-")
                        && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
                }
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: false
        }
    }

    /// One of a few texts. An enumeration with raw values says the same in its type.
    public static func oneOf(_ values: String...) -> Constraint {
        Constraint(
            code: "not_allowed", message: "must be one of \(values.joined(separator: ", "))", keywords: [.oneOf(values)]
        ) { values.containsExactly($0) }
    }

    /// Text that a regular expression matches somewhere: put `^` and `$` around it to mean all of the text.
    ///
    /// Matching backtracks: a pattern with repetitions inside of repetitions, such as `(a+)+`, can be made to take
    /// for ever. Give such a field a `.length` that is small.
    /// - Parameters:
    ///   - pattern: Understood alike by Swift's `Regex` and by ECMA-262, which JSON Schema uses.
    ///   - message: A phrase that goes on from the field's name.
    /// - Throws: When the pattern is not one.
    public static func pattern(_ pattern: String, message: String) throws -> Constraint {
        let matcher = Matcher(try Regex(pattern))
        return Constraint(code: "pattern", message: message, keywords: [.pattern(pattern)]) { matcher.matches($0) }
    }
}

extension Constraint where Value: Collection & SendableMetatype {
    /// A number of elements, both bounds included.
    public static func count(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(
            code: "count", message: "must have \(bounds.lowerBound) to \(bounds.upperBound) elements",
            keywords: [.minItems(bounds.lowerBound), .maxItems(bounds.upperBound)]
        ) { bounds.contains($0.count) }
    }
}

extension Constraint where Value == Secret<String> {
    /// A number of characters, both bounds included.
    public static func length(_ bounds: ClosedRange<Int>) -> Constraint {
        let plain = Constraint<String>.length(bounds)
        return Constraint(code: plain.code, message: plain.message, keywords: plain.keywords) {
            plain.holds($0.reveal())
        }
    }
}

/// A regular expression that several threads may ask, one after the other.
private final class Matcher: Sendable {
    private let regex: Mutex<Regex<AnyRegexOutput>>

    init(_ regex: sending Regex<AnyRegexOutput>) { self.regex = Mutex(regex) }

    func matches(_ text: String) -> Bool { regex.withLock { (try? $0.firstMatch(in: text)) != nil } }
}
