import ApusCore

/// One row of a result.
public struct Row: Sendable {
    private let columns: [String]
    private let values: [SQLValue]

    /// - Parameter columns: The names, in the order of the values; shared by all rows of a result.
    public init(columns: [String], values: [SQLValue]) {
        self.columns = columns
        self.values = values
    }

    /// A column by its name.
    /// - Throws: An `AppError` of code `internal` when there is no such column or it holds something else: the statement
    ///   and the program disagree, which no client can mend.
    public func get<Value: SQLValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        guard let index = columns.firstIndex(where: { $0.isExactly(column) }) else {
            throw AppError(.internal, "A query's result lacks a column.", cause: RowMismatch.missing(column, columns))
        }
        return try get(index)
    }

    /// A column by its position, from 0.
    public func get<Value: SQLValueConvertible>(_ index: Int, as type: Value.Type = Value.self) throws -> Value {
        guard values.indices.contains(index) else {
            throw AppError(
                .internal, "A query's result lacks a column.", cause: RowMismatch.missing("\(index)", columns))
        }
        guard let value = Value(sqlValue: values[index]) else {
            throw AppError(
                .internal, "A column holds a value of an unexpected kind.",
                cause: RowMismatch.kind(columns[index], expected: "\(Value.self)", found: values[index]))
        }
        return value
    }
}

/// How a row and the code that reads it disagree. Logged, never shown to a client.
enum RowMismatch: Error {
    case missing(String, [String])
    case kind(String, expected: String, found: SQLValue)
}
