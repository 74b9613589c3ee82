import ApusCore

/// The mapping of an entity to a table. Declare it next to the repository, so that the domain does not depend on it.
public protocol Record: Identifiable, RowDecodable, Sendable where ID: SQLValueConvertible {
    /// The name of the table.
    static var table: String { get }
    /// The name of the id column. `id` by default.
    static var idColumn: String { get }
    /// All columns with their values, including the id.
    var columns: [(name: String, value: any SQLValueConvertible)] { get }
}

extension Record {
    public static var idColumn: String { "id" }
}

/// A repository that stores its entities in a table.
public struct SQLRepository<Entity: Record>: Repository {
    /// The database, for additional queries.
    public let database: any Database

    public init(_ database: any Database) { self.database = database }

    public func find(_ id: Entity.ID) async throws -> Entity? {
        try await first(where: "\(Self.byID(id))")
    }

    /// Returns the entities that match a condition.
    /// - Parameter condition: The SQL that follows `WHERE`.
    public func all(where condition: SQL) async throws -> [Entity] {
        try await database.query("SELECT * FROM \(identifier: Entity.table) WHERE \(condition)").map(Entity.init(row:))
    }

    /// Returns the first entity that matches a condition.
    public func first(where condition: SQL) async throws -> Entity? {
        try await all(where: "\(condition) LIMIT 1").first
    }

    public func insert(_ entity: Entity) async throws {
        let columns = entity.columns
        let names = SQL.joined(columns.map { "\(identifier: $0.name)" }, separator: ", ")
        let values = SQL.joined(columns.map { "\($0.value.sqlValue)" }, separator: ", ")
        try await database.execute("INSERT INTO \(identifier: Entity.table) (\(names)) VALUES (\(values))")
    }

    @discardableResult
    public func update(_ id: Entity.ID, _ change: @Sendable (inout Entity) throws -> Void) async throws -> Entity {
        try await database.transaction {
            // SQLite has a single writer; other engines must lock the row until the end of the transaction.
            let lock: SQL = database.dialect == .postgres ? " FOR UPDATE" : ""
            guard var entity = try await all(where: "\(Self.byID(id))\(lock)").first else { throw Self.notFound(id) }
            try change(&entity)
            let assignments = entity.columns.filter { $0.name != Entity.idColumn }.map { column -> SQL in
                "\(identifier: column.name) = \(column.value.sqlValue)"
            }
            try await database.execute(
                """
                UPDATE \(identifier: Entity.table) SET \(SQL.joined(assignments, separator: ", ")) \
                WHERE \(Self.byID(id))
                """)
            return entity
        }
    }

    public func delete(_ id: Entity.ID) async throws {
        let count = try await database.execute("DELETE FROM \(identifier: Entity.table) WHERE \(Self.byID(id))")
        guard count > 0 else { throw Self.notFound(id) }
    }

    private static func byID(_ id: Entity.ID) -> SQL { "\(identifier: Entity.idColumn) = \(id.sqlValue)" }
}
