/// A schema change. Once it has been applied anywhere, do not edit it; add another migration.
///
/// ```swift
/// enum CreateOrders: Migration {
///     static let id = "2026-11-23-create-orders"
///     static let statements: [SQL] = ["CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT NOT NULL)"]
/// }
/// ```
public protocol Migration {
    /// The unique, stable id. A date as its prefix keeps lists of migrations in order.
    static var id: String { get }
    /// The statements, run in order in one transaction.
    static var statements: [SQL] { get }
}
