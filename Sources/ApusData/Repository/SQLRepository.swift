public import ApusCore
import FoundationEssentials

/// A repository that stores its entities in a table.
public struct SQLRepository<Entity: Record>: Repository {
    /// The database, for additional queries.
    public let database: any Database
    private let clock: any WallClock

    /// Creates a repository.
    /// - Parameter clock: The clock of ``Record/deletedColumn``.
    public init(_ database: any Database, clock: any WallClock = SystemClock()) {
        self.database = database
        self.clock = clock
    }

    // MARK: Reading

    public func find(_ id: Entity.ID) async throws -> Entity? { try await first(where: Self.byID(id)) }

    public func list(after id: Entity.ID?, limit: Int) async throws -> [Entity] {
        let start: SQL = id.map { "\(identifier: Entity.idColumn) > \($0.sqlValue)" } ?? "1 = 1"
        return try await all(where: "\(start) ORDER BY \(identifier: Entity.idColumn) LIMIT \(max(0, limit))")
    }

    /// Returns the entities that match a condition.
    /// - Parameter condition: The SQL that follows `WHERE`.
    public func all(where condition: SQL) async throws -> [Entity] {
        try await database.query(Self.select(where: condition)).map(Entity.init(row:))
    }

    /// Returns the first entity that matches a condition.
    public func first(where condition: SQL) async throws -> Entity? {
        try await all(where: "\(condition) LIMIT 1").first
    }

    // MARK: Writing

    public func insert(_ entity: Entity) async throws { try await insert([entity], .fails) }

    public func insert(_ entities: [Entity]) async throws { try await insert(entities, .fails) }

    public func upsert(_ entity: Entity) async throws {
        let names = entity.columns.map(\.name).filter { $0 != Entity.idColumn }
        try await insert([entity], .updates(key: [Entity.idColumn], columns: names))
    }

    private func insert(_ entities: [Entity], _ onConflict: InsertConflict) async throws {
        guard let first = entities.first else { return }
        try await database.insert(
            into: Entity.table, columns: first.columns.map(\.name), rows: entities.map { $0.columns.map(\.value) },
            onConflict: onConflict)
    }

    @discardableResult
    public func save(_ entity: Entity) async throws -> Entity {
        guard let version = version(of: entity) else {
            guard try await database.execute(Self.replace(entity)) > 0 else { throw Self.notFound(entity.id) }
            return entity
        }
        return try await database.change(reading: Self.lock(entity.id)) { rows in
            guard let row = rows.first else { throw Self.notFound(entity.id) }
            guard try row.get(Entity.versionColumn, as: Int.self) == version else { throw Self.changed(entity.id) }
            let next = withNextVersion(entity, after: version)
            return Change([Self.replace(next)], returning: next)
        }
    }

    @discardableResult
    public func update(
        _ id: Entity.ID, _ change: @escaping @Sendable (inout Entity) throws -> Void
    ) async throws -> Entity {
        try await database.change(reading: Self.lock(id)) { rows in
            guard let row = rows.first else { throw Self.notFound(id) }
            var entity = try Entity(row: row)
            let version = version(of: entity)
            try change(&entity)
            if let version { entity = withNextVersion(entity, after: version) }
            return Change([Self.replace(entity, id: id)], returning: entity)
        }
    }

    public func delete(_ id: Entity.ID) async throws {
        let statement: SQL
        if let column = Entity.deletedColumn {
            statement = """
                UPDATE \(identifier: Entity.table) SET \(identifier: column) = \(clock.now)
                WHERE \(Self.byID(id)) AND \(Self.exists)
                """
        } else {
            statement = "DELETE FROM \(identifier: Entity.table) WHERE \(Self.byID(id))"
        }
        guard try await database.execute(statement) > 0 else { throw Self.notFound(id) }
    }

    // MARK: Statements

    private static func byID(_ id: Entity.ID) -> SQL { "\(identifier: Entity.idColumn) = \(id.sqlValue)" }

    /// The condition that holds for entities that are not deleted.
    private static var exists: SQL { Entity.deletedColumn.map { "\(identifier: $0) IS NULL" } ?? "1 = 1" }

    private static func select(where condition: SQL) -> SQL {
        let table: SQL = "\(identifier: Entity.table)"
        guard Entity.deletedColumn != nil else { return "SELECT * FROM \(table) WHERE \(condition)" }
        // A subquery, because the condition may contain OR and end with ORDER BY. Planners merge it.
        return "SELECT * FROM (SELECT * FROM \(table) WHERE \(exists)) AS \(table) WHERE \(condition)"
    }

    private static func lock(_ id: Entity.ID) -> SQL {
        "SELECT * FROM \(identifier: Entity.table) WHERE \(byID(id)) AND \(exists)\(SQL.rowLock)"
    }

    /// Returns the statement that replaces an entity.
    /// - Parameter id: The stored id, if it differs from that of the entity, which does not change it.
    private static func replace(_ entity: Entity, id: Entity.ID? = nil) -> SQL {
        let assignments = entity.columns.filter { $0.name != Entity.idColumn }.map { column -> SQL in
            "\(identifier: column.name) = \(column.value.sqlValue)"
        }
        return """
            UPDATE \(identifier: Entity.table) SET \(SQL.joined(assignments, separator: ", ")) \
            WHERE \(byID(id ?? entity.id)) AND \(exists)
            """
    }
}
