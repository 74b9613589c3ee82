extension SQL {
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

        /// Appends a list of values, without parentheses, after `IN` or `NOT IN`. Nothing is `IN` an empty list.
        ///
        /// On Postgres, the values are bound as one array, except dates. SQLite and dates take one parameter each; see
        /// ``SQLDialect/maximumValues``.
        public mutating func appendInterpolation(list values: some Sequence<some SQLValueConvertible>) {
            parts.append(.list(values.map(\.sqlValue)))
        }

        /// Appends the quoted name of a table or a column. A name that contains U+0000 is rejected when the statement
        /// runs.
        public mutating func appendInterpolation(identifier name: String) { parts.append(.identifier(name)) }

        /// Appends the dialect's name of a column type, in the statement of a migration.
        public mutating func appendInterpolation(type: ColumnType) { parts.append(.type(type)) }
    }
}
