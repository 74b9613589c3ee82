/// A repository that forwards the requirements of ``Repository`` to a table, for repositories with additional queries.
///
/// ```swift
/// struct SQLOrderRepository: OrderRepository, SQLBackedRepository {
///     let table: SQLRepository<Order>
///
///     func waiting(limit: Int) async throws -> [Order] {
///         try await table.all(where: "state = 'paid' ORDER BY id LIMIT \(limit)")
///     }
/// }
/// ```
public protocol SQLBackedRepository: Repository where Entity: Record {
    /// The table that stores the entities.
    var table: SQLRepository<Entity> { get }
}

extension SQLBackedRepository {
    public func find(_ id: Entity.ID) async throws -> Entity? { try await table.find(id) }

    public func list(after id: Entity.ID?, limit: Int) async throws -> [Entity] {
        try await table.list(after: id, limit: limit)
    }

    public func insert(_ entity: Entity) async throws { try await table.insert(entity) }

    public func insert(_ entities: [Entity]) async throws { try await table.insert(entities) }

    public func upsert(_ entity: Entity) async throws { try await table.upsert(entity) }

    @discardableResult
    public func save(_ entity: Entity) async throws -> Entity { try await table.save(entity) }

    @discardableResult
    public func update(
        _ id: Entity.ID, _ change: @escaping @Sendable (inout Entity) throws -> Void
    ) async throws -> Entity { try await table.update(id, change) }

    public func delete(_ id: Entity.ID) async throws { try await table.delete(id) }
}
