/// A schema change. Once it has been applied anywhere, do not edit it; add another migration.
///
/// ```swift
/// enum CreateOrders: Migration {
///     static let id = "2026-11-23-create-orders"
///     static let statements: [SQL] = ["CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT NOT NULL)\(SQL.strict)"]
///     static let undo: [SQL] = ["DROP TABLE orders"]
/// }
/// ```
///
/// A change that needs code implements ``up(_:)``:
///
/// ```swift
/// enum FillTotals: Migration {
///     static let id = "2026-11-27-fill-totals"
///     static func up(_ database: any Database) async throws { … }
/// }
/// ```
public protocol Migration: SendableMetatype {
    /// The unique, stable id. A date as its prefix keeps lists of migrations in order.
    static var id: String { get }
    /// The statements, run in order. None by default, for a migration that is written in Swift.
    static var statements: [SQL] { get }
    /// The statements that undo the migration, run in order. None by default: the migration cannot be undone.
    static var undo: [SQL] { get }
    /// Whether the migration runs in a transaction, together with the record that it was applied. `true` by default. Only
    /// statements that engines do not run in a transaction need `false`, such as `CREATE INDEX CONCURRENTLY`; a migration
    /// of one such statement is best, because nothing is rolled back if a later one fails.
    static var isTransactional: Bool { get }

    /// Applies the migration. By default it runs the ``statements``.
    static func up(_ database: any Database) async throws

    /// Undoes the migration. By default it runs the ``undo`` statements, and throws if there are none.
    static func down(_ database: any Database) async throws
}

extension Migration {
    public static var statements: [SQL] { [] }
    public static var undo: [SQL] { [] }
    public static var isTransactional: Bool { true }

    public static func up(_ database: any Database) async throws {
        for statement in statements { try await database.execute(statement) }
    }

    public static func down(_ database: any Database) async throws {
        guard !undo.isEmpty else { throw MigrationError.irreversible(id).appError }
        for statement in undo { try await database.execute(statement) }
    }
}
