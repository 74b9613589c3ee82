/// The type of a column, in statements that create tables on several engines.
///
/// ```swift
/// "CREATE TABLE files (id TEXT PRIMARY KEY, content \(type: .bytes) NOT NULL, created_at \(type: .timestamp) NOT NULL)"
/// ```
public enum ColumnType: Sendable, Hashable {
    /// `[UInt8]`: `BLOB`, `BYTEA`.
    case bytes
    /// `Date`: whole microseconds since 1970 (`BIGINT`) on SQLite, `TIMESTAMPTZ` on Postgres.
    case timestamp
    /// `Int`: 64 bits, `BIGINT`.
    case integer
    /// `Double`: `REAL`, `DOUBLE PRECISION`.
    case real
    /// `String` and `Identifier`: `TEXT`.
    case text
    /// `Bool`, bound as 0 or 1: `INTEGER`.
    case boolean

    package func name(in dialect: SQLDialect) -> String {
        switch (self, dialect) {
        case (.bytes, .sqlite): "BLOB"
        case (.bytes, .postgres): "BYTEA"
        case (.timestamp, .sqlite): "BIGINT"
        case (.timestamp, .postgres): "TIMESTAMPTZ"
        case (.integer, _): "BIGINT"
        case (.real, .sqlite): "REAL"
        case (.real, .postgres): "DOUBLE PRECISION"
        case (.text, _): "TEXT"
        case (.boolean, _): "INTEGER"
        }
    }
}
