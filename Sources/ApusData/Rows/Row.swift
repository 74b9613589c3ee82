import ApusCore

/// A row of a query result.
public struct Row: Sendable {
    /// The names of the columns, in the order of the statement.
    public let columns: [String]
    /// The values of the columns.
    public let values: [SQLValue]

    /// Creates a row.
    /// - Parameter columns: The names of the columns, in the order of the values. All rows of a result share them.
    public init(columns: [String], values: [SQLValue]) {
        self.columns = columns
        self.values = values
    }

    /// Returns the value of a column by name.
    /// - Throws: An `AppError` of code `internal` if there is no such column or its value has another type. The
    ///   statement and the program do not match, which a client cannot fix.
    public func get<Value: SQLValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        guard let index = columns.firstIndex(where: { $0.isExactly(column) }) else {
            throw AppError(
                .internal, "A column is missing from a query result.", cause: RowMismatch.missing(column, columns))
        }
        return try get(index)
    }

    /// Returns the value of a column by position, starting at 0.
    public func get<Value: SQLValueConvertible>(_ index: Int, as type: Value.Type = Value.self) throws -> Value {
        guard values.indices.contains(index) else {
            throw AppError(
                .internal, "A column is missing from a query result.", cause: RowMismatch.missing("\(index)", columns))
        }
        guard let value = Value(sqlValue: values[index]) else {
            throw AppError(
                .internal, "A column has a value of an unexpected type.",
                cause: RowMismatch.wrongType(columns[index], expected: "\(Value.self)", found: values[index]))
        }
        return value
    }

    /// Returns the values of the first columns as a tuple.
    ///
    /// ```swift
    /// let (id, total) = try row.get(Order.ID.self, Int.self)
    /// ```
    public func get<each Value: SQLValueConvertible>(_ types: repeat (each Value).Type) throws -> (repeat each Value) {
        var index = 0
        func next<Column: SQLValueConvertible>(_ type: Column.Type) throws -> Column {
            defer { index += 1 }
            return try get(index, as: type)
        }
        return (repeat try next(each types))
    }

    /// Returns whether there is a column of this name.
    public func has(_ column: String) -> Bool { columns.contains { $0.isExactly(column) } }
}

/// A mismatch between a row and the code that reads it. Logged, but never sent to a client.
enum RowMismatch: Error {
    case missing(String, [String])
    case wrongType(String, expected: String, found: SQLValue)
}
