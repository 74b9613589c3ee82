extension Database {
    /// Runs several queries at once and returns the rows of each as instances of its type. See ``batch(_:)``.
    ///
    /// ```swift
    /// let (orders, couriers) = try await database.batch(
    ///     ("SELECT * FROM orders WHERE id = \(order)", Order.self), ("SELECT * FROM couriers", Courier.self))
    /// ```
    public func batch<each Element: RowDecodable>(
        _ queries: repeat (SQL, (each Element).Type)
    ) async throws -> (repeat [each Element]) {
        var statements: [SQL] = []
        for (statement, _) in repeat each queries { statements.append(statement) }
        var results = try await batch(statements)[...]
        func next<Row: RowDecodable>(_ type: Row.Type) throws -> [Row] {
            try (results.popFirst() ?? []).map(Row.init(row:))
        }
        return (repeat try next((each queries).1))
    }
}
