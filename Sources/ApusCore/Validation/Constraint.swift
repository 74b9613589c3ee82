import Synchronization

/// A condition on a value, with the code and the message for values that break it.
public struct Constraint<Value>: Sendable {
    let code: String
    let message: String
    let keywords: [SchemaKeyword]
    /// Why the constraint cannot be checked, as a phrase that continues the name of its rule; `nil` if it can be.
    var problem: String?
    let holds: @Sendable (Value) -> Bool

    /// Returns a custom constraint.
    /// - Parameters:
    ///   - code: A stable code for programs, such as `not_a_plate`.
    ///   - message: A phrase that continues the name of the field, such as `must be a number plate`.
    ///   - keywords: The keywords that describe the constraint in the schema of the field.
    ///   - holds: Returns whether a value satisfies the constraint.
    public static func custom(
        code: String, message: String, keywords: SchemaKeyword..., holds: @escaping @Sendable (Value) -> Bool
    ) -> Constraint {
        Constraint(code: code, message: message, keywords: keywords, holds: holds)
    }
}

extension Constraint where Value: Comparable & Sendable {
    /// Returns a constraint to a range, bounds included. NaN is never in range.
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
        // A bound that JSON numbers cannot represent, such as `Int.max`, is left out of the schema.
        case let value as any BinaryInteger: Double(exactly: value)
        case let value as any BinaryFloatingPoint: Double(value)
        default: nil
        }
    }
}

extension Constraint where Value == String {
    /// Returns a constraint on the number of characters, bounds included.
    ///
    /// Counts Unicode scalars, as JSON Schema does: a single grapheme cluster can consist of a million of them.
    public static func length(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(
            code: "length", message: "must have \(bounds.lowerBound) to \(bounds.upperBound) characters",
            keywords: [.minLength(bounds.lowerBound), .maxLength(bounds.upperBound)]
        ) { bounds.contains($0.unicodeScalars.count) }
    }

    /// Returns a constraint for a single line of text, such as a name or a title: a number of characters, bounds
    /// included, without control characters.
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

    /// A constraint for email addresses: the syntax that browsers accept (HTML Standard, §4.10.5.1.5), with a dot in
    /// the domain and a maximum of 254 ASCII characters.
    public static var email: Constraint {
        Constraint(
            code: "email", message: "must be an email address such as ada@example.org",
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

    /// Returns a constraint to a set of values. An enumeration with raw values expresses the same as a type.
    public static func oneOf(_ values: String...) -> Constraint {
        Constraint(
            code: "not_allowed", message: "must be one of \(values.joined(separator: ", "))", keywords: [.oneOf(values)]
        ) { values.containsExactly($0) }
    }

    /// Returns a constraint for text that contains a match of a regular expression. Enclose the pattern in `^` and `$`
    /// to match the entire text.
    ///
    /// ```swift
    /// Rule("country", \.country, .pattern("^[A-Z]{2}$", message: "must be a country code such as CH"))
    /// ```
    ///
    /// A pattern that is not a regular expression stops the start of an app that validates bodies with it. Elsewhere, no
    /// text satisfies it.
    ///
    /// Matching backtracks: nested repetitions, such as `(a+)+`, can take exponential time on crafted input. List a small
    /// `.length` before the pattern: text that breaks it is not matched.
    /// - Parameters:
    ///   - pattern: A pattern with the same meaning in Swift's `Regex` and in ECMA-262, which JSON Schema uses.
    ///   - message: A phrase that continues the name of the field.
    public static func pattern(_ pattern: String, message: String) -> Constraint {
        do {
            let matcher = Matcher(try Regex(pattern))
            return Constraint(code: "pattern", message: message, keywords: [.pattern(pattern)]) { matcher.matches($0) }
        } catch {
            let problem = "has the pattern \"\(pattern)\", which is not a regular expression: \(error)"
            return Constraint(code: "pattern", message: message, keywords: [], problem: problem) { _ in false }
        }
    }
}

extension Constraint where Value: Collection & SendableMetatype {
    /// Returns a constraint on the number of elements, bounds included.
    public static func count(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(
            code: "count", message: "must have \(bounds.lowerBound) to \(bounds.upperBound) elements",
            keywords: [.minItems(bounds.lowerBound), .maxItems(bounds.upperBound)]
        ) { bounds.contains($0.count) }
    }
}

extension Constraint where Value == Secret<String> {
    /// Returns a constraint on the number of characters, bounds included.
    public static func length(_ bounds: ClosedRange<Int>) -> Constraint {
        let length = Constraint<String>.length(bounds)
        return Constraint(code: length.code, message: length.message, keywords: length.keywords) {
            length.holds($0.reveal())
        }
    }
}

/// A regular expression that can be shared by threads; matching is serialized.
private final class Matcher: Sendable {
    private let regex: Mutex<Regex<AnyRegexOutput>>

    init(_ regex: sending Regex<AnyRegexOutput>) { self.regex = Mutex(regex) }

    func matches(_ text: String) -> Bool { regex.withLock { (try? $0.firstMatch(in: text)) != nil } }
}
