/// A condition on one value, with the words for those who break it.
public struct Constraint<Value>: Sendable {
    let code: String
    let message: String
    let holds: @Sendable (Value) -> Bool

    /// A condition of your own.
    /// - Parameters:
    ///   - code: Stable, for programs, such as `not_a_plate`.
    ///   - message: A phrase that goes on from the field's name: `must be a number plate`.
    public static func custom(
        code: String, message: String, _ holds: @escaping @Sendable (Value) -> Bool
    ) -> Constraint {
        Constraint(code: code, message: message, holds: holds)
    }
}

extension Constraint where Value: Comparable & Sendable {
    /// Within bounds, both included. A NaN is never within bounds.
    public static func range(_ bounds: ClosedRange<Value>) -> Constraint {
        Constraint(code: "out_of_range", message: "must be from \(bounds.lowerBound) to \(bounds.upperBound)") {
            bounds.contains($0)
        }
    }
}

extension Constraint where Value == String {
    /// A number of characters, both bounds included. Counted as JSON Schema counts, in Unicode scalars: what a reader takes
    /// for one letter may be a million of them.
    public static func length(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(
            code: "length", message: "must have \(bounds.lowerBound) to \(bounds.upperBound) characters"
        ) { bounds.contains($0.unicodeScalars.count) }
    }

    /// An e-mail address by its shape: one `@`, something before it, a domain with a dot after it, 254 characters at most.
    public static var email: Constraint {
        Constraint(code: "email", message: "must be an e-mail address such as ada@example.org") { text in
            let parts = text.split(separator: "@", omittingEmptySubsequences: false)
            guard text.utf8.count <= 254, parts.count == 2, !parts[0].isEmpty else { return false }
            guard !text.contains(where: { $0.isWhitespace }) else { return false }
            let labels = parts[1].split(separator: ".", omittingEmptySubsequences: false)
            return labels.count >= 2 && labels.allSatisfy { !$0.isEmpty }
        }
    }
}

extension Constraint where Value: Collection & SendableMetatype {
    /// A number of elements, both bounds included.
    public static func count(_ bounds: ClosedRange<Int>) -> Constraint {
        Constraint(code: "count", message: "must have \(bounds.lowerBound) to \(bounds.upperBound) elements") {
            bounds.contains($0.count)
        }
    }
}
