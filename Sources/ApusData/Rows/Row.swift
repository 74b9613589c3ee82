import ApusCore

/// A row of a query result. All rows of a result or a batch share their values, so one that is kept keeps them all in
/// memory.
public struct Row: Sendable {
    /// The names of the columns, in the order of the statement.
    public let columns: [String]
    /// The values of all rows of the result, one row after the other.
    @usableFromInline let storage: [SQLValue]
    /// The place of the values in the storage.
    @usableFromInline let range: Range<Int>

    /// Creates a row.
    /// - Parameter columns: The names of the columns, in the order of the values. All rows of a result share them.
    public init(columns: [String], values: [SQLValue]) {
        self.init(columns: columns, storage: values, range: values.indices)
    }

    private init(columns: [String], storage: [SQLValue], range: Range<Int>) {
        self.columns = columns
        self.storage = storage
        self.range = range
    }

    /// Creates the rows of a result.
    /// - Parameters:
    ///   - positions: Which rows of the values are those of the result.
    ///   - values: The values of all rows, one row after the other.
    package static func rows(_ positions: Range<Int>, columns: [String], values: [SQLValue]) -> [Row] {
        let width = columns.count
        return positions.map { index in
            Row(columns: columns, storage: values, range: index * width..<(index + 1) * width)
        }
    }

    /// The values of the columns.
    public var values: [SQLValue] { range == storage.indices ? storage : Array(storage[range]) }

    /// Returns the value of a column by name.
    /// - Throws: An `AppError` of code `internal` if there is no such column or its value has another type. The
    ///   statement and the program do not match, which a client cannot fix.
    @inlinable
    public func get<Value: SQLValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        guard let index = firstIndex(of: column) else { throw missing(column) }
        return try get(index)
    }

    /// Returns the value of a column by position, starting at 0.
    @inlinable
    public func get<Value: SQLValueConvertible>(_ index: Int, as type: Value.Type = Value.self) throws -> Value {
        guard index >= 0, index < range.count else { throw missing("\(index)") }
        guard let value = Value(sqlValue: storage[range.lowerBound + index]) else {
            throw wrongType(index, expected: "\(Value.self)")
        }
        return value
    }

    /// Returns the values of the first columns as a tuple.
    ///
    /// ```swift
    /// let (id, total) = try row.get(Order.ID.self, Int.self)
    /// ```
    @inlinable
    public func get<each Value: SQLValueConvertible>(_ types: repeat (each Value).Type) throws -> (repeat each Value) {
        var index = 0
        func next<Column: SQLValueConvertible>(_ type: Column.Type) throws -> Column {
            defer { index += 1 }
            return try get(index, as: type)
        }
        return (repeat try next(each types))
    }

    /// Returns whether there is a column of this name.
    public func has(_ column: String) -> Bool { firstIndex(of: column) != nil }

    @usableFromInline
    func firstIndex(of column: String) -> Int? {
        for index in columns.indices where columns[index].isExactly(column) { return index }
        return nil
    }

    @usableFromInline
    func missing(_ column: String) -> any Error {
        AppError(.internal, "A column is missing from a query result.", cause: RowMismatch.missing(column, columns))
    }

    @usableFromInline
    func wrongType(_ index: Int, expected: String) -> any Error {
        AppError(
            .internal, "A column has a value of an unexpected type.",
            cause: RowMismatch.wrongType(columns[index], expected: expected, found: values[index]))
    }
}

/// A mismatch between a row and the code that reads it. Logged, but never sent to a client.
enum RowMismatch: Error {
    case missing(String, [String])
    case wrongType(String, expected: String, found: SQLValue)
}
