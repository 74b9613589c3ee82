public import ApusCore

/// A persistent collection of entities.
///
/// Refine the protocol with the queries of your domain. Keep business rules out of implementations: ``update(_:_:)``
/// passes the entity to a closure that applies them, while the implementation holds the lock.
public protocol Repository<Entity>: Sendable {
    associatedtype Entity: Identifiable & Sendable where Entity.ID: Sendable

    /// Returns the entity with an id, or `nil` if there is none.
    func find(_ id: Entity.ID) async throws -> Entity?

    /// Adds an entity.
    /// - Throws: An `AppError` of code `alreadyExists` if its id, or another value that must be unique, is taken.
    func insert(_ entity: Entity) async throws

    /// Changes an entity under an exclusive lock. The change is stored if the closure returns, and dropped if it
    /// throws.
    /// - Returns: The entity after the change.
    /// - Throws: An `AppError` of code `notFound` if there is no such entity, or the error that the closure throws.
    @discardableResult
    func update(_ id: Entity.ID, _ change: @Sendable (inout Entity) throws -> Void) async throws -> Entity

    /// Deletes an entity.
    /// - Throws: An `AppError` of code `notFound` if there is no such entity.
    func delete(_ id: Entity.ID) async throws
}

extension Repository {
    /// Returns the entity with an id.
    /// - Throws: An `AppError` of code `notFound` if there is no such entity.
    public func get(_ id: Entity.ID) async throws -> Entity {
        guard let entity = try await find(id) else { throw Self.notFound(id) }
        return entity
    }

    /// Returns the error for an id that does not exist.
    public static func notFound(_ id: Entity.ID) -> AppError {
        AppError(.notFound, "No \(Entity.self) with the id \(id) was found.")
    }
}
