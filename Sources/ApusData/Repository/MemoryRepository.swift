import ApusCore
import Synchronization

/// An in-memory repository for tests and prototypes.
///
/// What a unit of work has changed is undone if it is rolled back. Until then, others see it: there is no isolation. A
/// ``UnitOfWork`` over a ``MemoryDatabase`` needs no real database.
public final class MemoryRepository<Entity: Identifiable & Sendable>: Repository where Entity.ID: Sendable {
    private let entities: Mutex<[Entity.ID: Entity]>

    public init(_ entities: [Entity] = []) {
        self.entities = Mutex(Dictionary(entities.map { ($0.id, $0) }) { first, _ in first })
    }

    /// All entities, in no particular order.
    public var all: [Entity] { entities.withLock { Array($0.values) } }

    public func find(_ id: Entity.ID) -> Entity? { entities.withLock { $0[id] } }

    public func list(after id: Entity.ID?, limit: Int) -> [Entity] {
        let sorted = all.sorted { SortKey($0.id) < SortKey($1.id) }
        let start = id.map(SortKey.init)
        let rest = sorted.drop { entity in start.map { !($0 < SortKey(entity.id)) } ?? false }
        return Array(rest.prefix(max(0, limit)))
    }

    public func insert(_ entity: Entity) throws { try insert([entity]) }

    public func insert(_ entities: [Entity]) throws {
        try change(entities.map(\.id)) { stored in
            for entity in entities {
                guard stored.updateValue(entity, forKey: entity.id) == nil else {
                    throw AppError(.alreadyExists, "A \(Entity.self) with the id \(entity.id) already exists.")
                }
            }
        }
    }

    public func upsert(_ entity: Entity) throws { try change([entity.id]) { $0[entity.id] = entity } }

    @discardableResult
    public func save(_ entity: Entity) throws -> Entity {
        try change([entity.id]) { entities in
            guard let stored = entities[entity.id] else { throw Self.notFound(entity.id) }
            guard version(of: entity) == version(of: stored) else { throw Self.changed(entity.id) }
            let next = version(of: entity).map { withNextVersion(entity, after: $0) } ?? entity
            entities[entity.id] = next
            return next
        }
    }

    @discardableResult
    public func update(_ id: Entity.ID, _ change: @Sendable (inout Entity) throws -> Void) throws -> Entity {
        try self.change([id]) { entities in
            guard var entity = entities[id] else { throw Self.notFound(id) }
            let oldVersion = version(of: entity)
            try change(&entity)
            if let oldVersion { entity = withNextVersion(entity, after: oldVersion) }
            entities[id] = entity
            return entity
        }
    }

    public func delete(_ id: Entity.ID) throws {
        try change([id]) { entities in
            guard entities.removeValue(forKey: id) != nil else { throw Self.notFound(id) }
        }
    }

    /// Changes the entities with some ids, or none if the closure throws. The change is undone if the current transaction
    /// is rolled back.
    /// - Throws: Also if that has ended, because the task has outlived it.
    private func change<Result>(
        _ ids: [Entity.ID], _ body: (inout [Entity.ID: Entity]) throws -> Result
    ) throws -> Result {
        try AmbientTransaction.checkChange()
        let (result, before) = try entities.withLock { entities in
            let before = ids.map { ($0, entities[$0]) }
            do {
                return (try body(&entities), before)
            } catch {
                for (id, entity) in before { entities[id] = entity }
                throw error
            }
        }
        AmbientTransaction.addUndo {
            self.entities.withLock { entities in
                for (id, entity) in before { entities[id] = entity }
            }
        }
        return result
    }
}

/// The order of ids, as databases have it.
private struct SortKey: Comparable {
    private let number: Int64?
    private let text: [UInt8]

    init(_ id: some Any) {
        switch (id as? any SQLValueConvertible)?.sqlValue {
        case .integer(let number): (self.number, text) = (number, [])
        case .text(let value): (number, text) = (nil, Array(value.utf8))
        case .blob(let bytes): (number, text) = (nil, bytes)
        case .null, .real, .timestamp, nil: (number, text) = (nil, Array("\(id)".utf8))
        }
    }

    static func < (left: SortKey, right: SortKey) -> Bool {
        if let first = left.number, let second = right.number { return first < second }
        return left.text.lexicographicallyPrecedes(right.text)
    }
}
