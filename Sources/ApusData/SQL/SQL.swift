import ApusCore

/// A statement with its values. What is interpolated is always bound, never spliced into the text.
///
/// ```swift
/// let orders = try await database.query("SELECT * FROM orders WHERE customer_id = \(customer) LIMIT \(20)")
/// ```
public struct SQL: Sendable, ExpressibleByStringInterpolation {
    package enum Part: Sendable, Hashable {
        case text(String)
        case value(SQLValue)
    }

    package private(set) var parts: [Part] = []

    public init(stringLiteral value: String) { parts = [.text(value)] }

    public init(stringInterpolation: Interpolation) { parts = stringInterpolation.parts }

    /// Collects text and values.
    public struct Interpolation: StringInterpolationProtocol {
        var parts: [Part] = []

        public init(literalCapacity: Int, interpolationCount: Int) {}

        public mutating func appendLiteral(_ literal: String) {
            if !literal.isEmpty { parts.append(.text(literal)) }
        }

        /// A value, to be bound.
        public mutating func appendInterpolation(_ value: some SQLValueConvertible) {
            parts.append(.value(value.sqlValue))
        }

        /// Another statement's text and values.
        public mutating func appendInterpolation(_ sql: SQL) { parts += sql.parts }

        /// The name of a table or a column, quoted.
        public mutating func appendInterpolation(identifier name: String) {
            parts.append(.text("\"\(name.replacing(["\"": "\"\""]))\""))
        }
    }

    /// Statements in a row with something between them.
    public static func joined(_ statements: [SQL], separator: String) -> SQL {
        var result: SQL = ""
        result.parts = []
        for (index, statement) in statements.enumerated() {
            if index > 0 { result.parts.append(.text(separator)) }
            result.parts += statement.parts
        }
        return result
    }

    /// The text with a placeholder for each value, and the values in order.
    /// - Parameter placeholder: Given a value's number, from 1.
    package func rendered(placeholder: (Int) -> String) -> (text: String, values: [SQLValue]) {
        var text = ""
        var values: [SQLValue] = []
        for part in parts {
            switch part {
            case .text(let literal): text += literal
            case .value(let value):
                values.append(value)
                text += placeholder(values.count)
            }
        }
        return (text, values)
    }

    /// Whether the statement certainly only reads.
    package var isRead: Bool { firstWord == "SELECT" }

    /// Whether the statement may be one that no transaction can contain.
    package var runsAlone: Bool { ["VACUUM", "PRAGMA", "ATTACH", "DETACH"].contains(firstWord) }

    private var firstWord: String {
        guard case .text(let text)? = parts.first else { return "" }
        return text.drop { $0.isWhitespace }.prefix { $0.isLetter }.uppercased()
    }
}
