extension SQL {
    /// Collects the text and the values of an interpolated statement.
    public struct Interpolation: StringInterpolationProtocol {
        var sql = SQL(template: SQLTemplate(parts: []), values: [])

        public init(literalCapacity: Int, interpolationCount: Int) {
            // There is a literal between any two interpolations, before the first and after the last one.
            sql.template.parts.reserveCapacity(2 * interpolationCount + 1)
            sql.values.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) {
            if !literal.isEmpty { sql.template.parts.append(.text(literal)) }
        }

        /// Appends a value to bind.
        @inlinable
        public mutating func appendInterpolation(_ value: some SQLValueConvertible) { append(value.sqlValue) }

        @usableFromInline
        mutating func append(_ value: SQLValue) {
            sql.template.parts.append(.value)
            sql.values.append(value)
        }

        /// Appends the text and the values of another statement.
        public mutating func appendInterpolation(_ sql: SQL) { self.sql.append(sql) }

        /// Appends a list of values, without parentheses, after `IN` or `NOT IN`. Nothing is `IN` an empty list.
        ///
        /// On Postgres, the values are bound as one array, except dates. SQLite and dates take one parameter each; see
        /// ``SQLDialect/maximumValues``.
        public mutating func appendInterpolation(list values: some Sequence<some SQLValueConvertible>) {
            let count = sql.values.count
            for value in values { sql.values.append(value.sqlValue) }
            sql.template.parts.append(.list(count: sql.values.count - count))
        }

        /// Appends the quoted name of a table or a column. A name that contains U+0000 is rejected when the statement
        /// runs.
        public mutating func appendInterpolation(identifier name: String) {
            sql.template.parts.append(.identifier(name))
        }

        /// Appends the dialect's name of a column type, in the statement of a migration.
        public mutating func appendInterpolation(type: ColumnType) { sql.template.parts.append(.type(type)) }
    }
}
