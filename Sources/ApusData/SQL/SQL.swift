import ApusCore

/// A SQL statement and its values. Interpolated values are always bound, never inserted into the text.
///
/// ```swift
/// let orders = try await database.query("SELECT * FROM orders WHERE customer_id = \(customer) LIMIT \(20)")
/// let some = try await database.query("SELECT * FROM orders WHERE id IN \(list: ids)")
/// ```
public struct SQL: Sendable, ExpressibleByStringInterpolation {
    package enum Part: Sendable, Hashable {
        case text(String)
        case strict
        case value(SQLValue)
        /// A list of values after `IN` or `NOT IN`.
        case list([SQLValue])
        case identifier(String)
        case type(ColumnType)
        case rowLock
    }

    package var parts: [Part] = []

    public init(stringLiteral value: String) { parts = [.text(value)] }

    public init(stringInterpolation: Interpolation) { parts = stringInterpolation.parts }

    private init(parts: [Part]) { self.parts = parts }

    /// Locks the selected rows until the end of the transaction, at the end of a `SELECT`: `FOR UPDATE` on Postgres.
    /// Nothing on SQLite, where a transaction that writes excludes all others.
    public static let rowLock = SQL(parts: [.rowLock])

    /// Concatenates statements, with a separator between them.
    public static func joined(_ statements: [SQL], separator: String) -> SQL {
        var parts: [Part] = []
        for (index, statement) in statements.enumerated() {
            if index > 0 { parts.append(.text(separator)) }
            parts += statement.parts
        }
        return SQL(parts: parts)
    }

    /// Whether the statement is known to be read-only.
    package var isRead: Bool { firstWord == "SELECT" }

    /// Whether the statement may be one that cannot run inside a transaction.
    package var runsAlone: Bool { ["VACUUM", "PRAGMA", "ATTACH", "DETACH"].contains(firstWord) }

    /// Whether the statement begins, releases or rolls back a savepoint.
    var isSavepoint: Bool { ["SAVEPOINT", "RELEASE", "ROLLBACK"].contains(firstWord) }

    private var firstWord: String {
        guard case .text(let text)? = parts.first else { return "" }
        return text.drop { $0.isWhitespace }.prefix { $0.isLetter }.uppercased()
    }
}
