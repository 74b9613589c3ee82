/// The type of a column, in statements that create tables on several engines.
///
/// ```swift
/// "CREATE TABLE files (id TEXT PRIMARY KEY, content \(type: .bytes) NOT NULL, created_at \(type: .timestamp) NOT NULL)\(SQL.strict)"
/// ```
/// All of them are types of ``SQL/strict`` tables.
public enum ColumnType: Sendable, Hashable {
    /// `[UInt8]`: `BLOB`, `BYTEA`.
    case bytes
    /// `Date`: whole microseconds since 1970 (`INTEGER`) on SQLite, `TIMESTAMPTZ` on Postgres.
    case timestamp
    /// `Int`: 64 bits, `INTEGER` on SQLite, `BIGINT` on Postgres.
    case integer
    /// `Double`: `REAL`, `DOUBLE PRECISION`.
    case real
    /// `String` and `Identifier`: `TEXT`.
    case text
    /// `Identifier`, in half of the bytes of a text where the engine can: `TEXT`, `UUID`.
    case identifier
    /// `Bool`, bound as 0 or 1: `INTEGER`.
    case boolean

    package func name(in dialect: SQLDialect) -> String {
        switch (self, dialect) {
        case (.bytes, .sqlite): "BLOB"
        case (.bytes, .postgres): "BYTEA"
        case (.timestamp, .sqlite), (.integer, .sqlite): "INTEGER"
        case (.timestamp, .postgres): "TIMESTAMPTZ"
        case (.integer, .postgres): "BIGINT"
        case (.real, .sqlite): "REAL"
        case (.real, .postgres): "DOUBLE PRECISION"
        case (.text, _), (.identifier, .sqlite): "TEXT"
        case (.identifier, .postgres): "UUID"
        case (.boolean, _): "INTEGER"
        }
    }
}

extension SQL {
    /// Makes a table check the types of its values, at the end of `CREATE TABLE`: `STRICT` on SQLite, which otherwise stores
    /// text in a column of numbers. Nothing on Postgres, which always checks.
    ///
    /// The types are `INTEGER`, `REAL`, `TEXT` and `BLOB`; others, such as `BIGINT` and `DOUBLE PRECISION`, are rejected.
    /// Write them as `\(type: .integer)`.
    public static let strict = SQL(template: SQLTemplate(parts: [.strict]), values: [])
}
