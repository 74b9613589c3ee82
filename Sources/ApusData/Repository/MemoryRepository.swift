import ApusCore
import Synchronization

/// An in-memory repository for tests and prototypes. It does not take part in transactions.
public final class MemoryRepository<Entity: Identifiable & Sendable>: Repository where Entity.ID: Sendable {
    private let entities: Mutex<[Entity.ID: Entity]>

    public init(_ entities: [Entity] = []) {
        self.entities = Mutex(Dictionary(entities.map { ($0.id, $0) }) { first, _ in first })
    }

    /// All entities, in no particular order.
    public var all: [Entity] { entities.withLock { Array($0.values) } }

    public func find(_ id: Entity.ID) -> Entity? { entities.withLock { $0[id] } }

    public func insert(_ entity: Entity) throws {
        try entities.withLock { entities in
            guard entities[entity.id] == nil else {
                throw AppError(.alreadyExists, "A \(Entity.self) with the id \(entity.id) already exists.")
            }
            entities[entity.id] = entity
        }
    }

    @discardableResult
    public func update(_ id: Entity.ID, _ change: @Sendable (inout Entity) throws -> Void) throws -> Entity {
        try entities.withLock { entities in
            guard var entity = entities[id] else { throw Self.notFound(id) }
            try change(&entity)
            entities[id] = entity
            return entity
        }
    }

    public func delete(_ id: Entity.ID) throws {
        try entities.withLock { entities in
            guard entities.removeValue(forKey: id) != nil else { throw Self.notFound(id) }
        }
    }
}
