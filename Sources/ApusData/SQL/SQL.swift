import ApusCore

/// A SQL statement and its values. Interpolated values are always bound, never inserted into the text.
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

    /// Collects the text and the values of an interpolated statement.
    public struct Interpolation: StringInterpolationProtocol {
        var parts: [Part] = []

        public init(literalCapacity: Int, interpolationCount: Int) {}

        public mutating func appendLiteral(_ literal: String) {
            if !literal.isEmpty { parts.append(.text(literal)) }
        }

        /// Appends a value to bind.
        public mutating func appendInterpolation(_ value: some SQLValueConvertible) {
            parts.append(.value(value.sqlValue))
        }

        /// Appends the text and the values of another statement.
        public mutating func appendInterpolation(_ sql: SQL) { parts += sql.parts }

        /// Appends the quoted name of a table or a column.
        public mutating func appendInterpolation(identifier name: String) {
            parts.append(.text("\"\(name.replacing(["\"": "\"\""]))\""))
        }
    }

    /// Concatenates statements, with a separator between them.
    public static func joined(_ statements: [SQL], separator: String) -> SQL {
        var result: SQL = ""
        result.parts = []
        for (index, statement) in statements.enumerated() {
            if index > 0 { result.parts.append(.text(separator)) }
            result.parts += statement.parts
        }
        return result
    }

    /// Returns the text, with a placeholder for each value, and the values in order.
    /// - Parameter placeholder: Returns the placeholder for the number of a value, starting at 1.
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

    /// Whether the statement is known to be read-only.
    package var isRead: Bool { firstWord == "SELECT" }

    /// Whether the statement may be one that cannot run inside a transaction.
    package var runsAlone: Bool { ["VACUUM", "PRAGMA", "ATTACH", "DETACH"].contains(firstWord) }

    /// Whether the statement may be a PRAGMA. A comment may hide the first word.
    package var mayBePragma: Bool { ["PRAGMA", "EXPLAIN", ""].contains(firstWord) }

    private var firstWord: String {
        guard case .text(let text)? = parts.first else { return "" }
        return text.drop { $0.isWhitespace }.prefix { $0.isLetter }.uppercased()
    }
}
