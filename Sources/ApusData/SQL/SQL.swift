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
        case rowLock(skipsLocked: Bool)
    }

    package var parts: [Part] = []

    public init(stringLiteral value: String) { parts = [.text(value)] }

    public init(stringInterpolation: Interpolation) { parts = stringInterpolation.parts }

    private init(parts: [Part]) { self.parts = parts }

    /// Locks the selected rows until the end of the transaction, at the end of a `SELECT`: `FOR UPDATE` on Postgres.
    /// Nothing on SQLite, where a transaction that writes excludes all others.
    public static let rowLock = SQL(parts: [.rowLock(skipsLocked: false)])

    /// Locks the selected rows like ``rowLock``, and leaves out those that another transaction has locked, instead of
    /// waiting for it: `FOR UPDATE SKIP LOCKED` on Postgres. Several processes that take work from one table do not wait
    /// for each other, nor do they deadlock.
    public static let rowLockSkippingLocked = SQL(parts: [.rowLock(skipsLocked: true)])

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
    package var isRead: Bool { isFirstWord("SELECT") }

    /// Whether the statement may be one that cannot run inside a transaction.
    package var runsAlone: Bool { ["VACUUM", "PRAGMA", "ATTACH", "DETACH"].contains { isFirstWord($0) } }

    /// Whether the statement begins, releases or rolls back a savepoint.
    var isSavepoint: Bool { ["SAVEPOINT", "RELEASE", "ROLLBACK"].contains { isFirstWord($0) } }

    /// Returns whether the first word of the text is a word of ASCII letters, in any case.
    private func isFirstWord(_ word: StaticString) -> Bool {
        var text = ""
        if case .text(let first)? = parts.first { text = first }
        var rest = text.utf8.drop { $0 == 0x20 || (9...13).contains($0) }.makeIterator()
        for index in 0..<word.utf8CodeUnitCount {
            guard let letter = rest.next(), letter & 0xDF == word.utf8Start[index] else { return false }
        }
        guard let next = rest.next() else { return true }
        return !(0x41...0x5A).contains(next & 0xDF)
    }
}
