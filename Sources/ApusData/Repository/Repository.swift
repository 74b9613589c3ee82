public import ApusCore

/// A collection of entities that outlives the process.
///
/// Refine it with the queries of your domain, and keep rules out: ``update(_:_:)`` gives them the entity to change while
/// the adapter holds the lock.
public protocol Repository<Entity>: Sendable {
    associatedtype Entity: Identifiable & Sendable where Entity.ID: Sendable

    /// The entity of an id, or `nil`.
    func find(_ id: Entity.ID) async throws -> Entity?

    /// Adds an entity.
    /// - Throws: An `AppError` of code `alreadyExists` when its id, or something else that must be unique, is taken.
    func insert(_ entity: Entity) async throws

    /// Changes an entity while nobody else can: the change is stored when the closure returns, not when it throws.
    /// - Returns: The entity after the change.
    /// - Throws: An `AppError` of code `notFound`, or what the closure throws.
    @discardableResult
    func update(_ id: Entity.ID, _ change: @Sendable (inout Entity) throws -> Void) async throws -> Entity

    /// Removes an entity.
    /// - Throws: An `AppError` of code `notFound`.
    func delete(_ id: Entity.ID) async throws
}

extension Repository {
    /// The entity of an id.
    /// - Throws: An `AppError` of code `notFound`.
    public func get(_ id: Entity.ID) async throws -> Entity {
        guard let entity = try await find(id) else { throw Self.notFound(id) }
        return entity
    }

    /// The error of an id that is not there.
    public static func notFound(_ id: Entity.ID) -> AppError {
        AppError(.notFound, "There is no \(Entity.self) with the id \(id).")
    }
}
