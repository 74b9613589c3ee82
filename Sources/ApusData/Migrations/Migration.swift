/// A step of the schema. Once applied anywhere it must not change: write another one.
///
/// ```swift
/// enum CreateOrders: Migration {
///     static let id = "2026-11-23-create-orders"
///     static let statements: [SQL] = ["CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT NOT NULL)"]
/// }
/// ```
public protocol Migration {
    /// Unique and stable; the date in front keeps the list in order for the reader.
    static var id: String { get }
    /// What is run, in order, in one transaction.
    static var statements: [SQL] { get }
}
