import ApusCore

/// A type that is created from a row of a query result.
///
/// ```swift
/// struct Sales: RowDecodable {
///     let day: String
///     let total: Int
///     init(row: Row) throws {
///         day = try row.get("day")
///         total = try row.get("total")
///     }
/// }
/// let sales = try await database.query("SELECT day, SUM(total) AS total FROM orders GROUP BY day", as: Sales.self)
/// ```
public protocol RowDecodable {
    /// Creates an instance from a row.
    init(row: Row) throws
}

extension Database {
    /// Runs a statement and returns an instance for each row.
    @inlinable
    public func query<Element: RowDecodable>(_ sql: SQL, as type: Element.Type) async throws -> [Element] {
        try await query(sql).map(Element.init(row:))
    }

    /// Runs a statement and returns the values of the first columns of each row.
    ///
    /// ```swift
    /// for (id, total) in try await database.query("SELECT id, total FROM orders", as: Order.ID.self, Int.self) { … }
    /// ```
    @inlinable
    public func query<each Value: SQLValueConvertible>(
        _ sql: SQL, as types: repeat (each Value).Type
    ) async throws -> [(repeat each Value)] {
        try await query(sql).map { row in try row.get(repeat each types) }
    }

    /// Runs a statement and decodes each row by the names of its columns. Properties that are neither values of SQL nor
    /// optional ones are rejected: rows are flat. For types that are read often, prefer ``RowDecodable``, which is
    /// several times faster.
    public func query<Element: Decodable>(_ sql: SQL, decoding type: Element.Type) async throws -> [Element] {
        try await query(sql).map { try $0.decode(Element.self) }
    }

    /// Runs a statement of a single row, and returns its first column; `nil` if there is no row.
    @inlinable
    public func queryValue<Value: SQLValueConvertible>(_ sql: SQL, as type: Value.Type = Value.self) async throws
        -> Value?
    {
        try await query(sql).first?.get(0, as: type)
    }
}
