/// A SQL statement and its values. Interpolated values are always bound, never inserted into the text.
///
/// ```swift
/// let orders = try await database.query("SELECT * FROM orders WHERE customer_id = \(customer) LIMIT \(20)")
/// let some = try await database.query("SELECT * FROM orders WHERE id IN \(list: ids)")
/// ```
public struct SQL: Sendable, ExpressibleByStringInterpolation {
    /// The statement without its values.
    package var template: SQLTemplate
    /// The values, in the order of the text.
    package var values: [SQLValue] = []

    public init(stringLiteral value: String) { self.init(text: value) }

    public init(stringInterpolation: Interpolation) { self = stringInterpolation.sql }

    /// Creates a statement without values from a text.
    package init(text: String) { template = SQLTemplate(parts: [.text(text)]) }

    package init(template: SQLTemplate, values: [SQLValue]) {
        self.template = template
        self.values = values
    }

    /// Locks the selected rows until the end of the transaction, at the end of a `SELECT`: `FOR UPDATE` on Postgres.
    /// Nothing on SQLite, where a transaction that writes excludes all others.
    public static let rowLock = SQL(template: SQLTemplate(parts: [.rowLock(skipsLocked: false)]), values: [])

    /// Locks the selected rows like ``rowLock``, and leaves out those that another transaction has locked, instead of
    /// waiting for it: `FOR UPDATE SKIP LOCKED` on Postgres. Several processes that take work from one table do not wait
    /// for each other, nor do they deadlock.
    public static let rowLockSkippingLocked = SQL(
        template: SQLTemplate(parts: [.rowLock(skipsLocked: true)]), values: [])

    /// Concatenates statements, with a separator between them.
    public static func joined(_ statements: [SQL], separator: String) -> SQL {
        var result = SQL(template: SQLTemplate(parts: []), values: [])
        for (index, statement) in statements.enumerated() {
            if index > 0 { result.template.parts.append(.text(separator)) }
            result.append(statement)
        }
        return result
    }

    mutating func append(_ other: SQL) {
        template.parts += other.template.parts
        values += other.values
    }

    /// Whether the statement is known to be read-only.
    package var isRead: Bool { template.isFirstWord("SELECT") }

    /// Whether the statement may be one that cannot run inside a transaction.
    package var runsAlone: Bool { ["VACUUM", "PRAGMA", "ATTACH", "DETACH"].contains { template.isFirstWord($0) } }

    /// Whether the statement begins, releases or rolls back a savepoint.
    var isSavepoint: Bool { ["SAVEPOINT", "RELEASE", "ROLLBACK"].contains { template.isFirstWord($0) } }
}
