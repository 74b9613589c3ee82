public import ApusCore

/// A persistent collection of entities.
///
/// Refine the protocol with the queries of your domain. Keep business rules out of implementations: ``update(_:_:)``
/// passes the entity to a closure that applies them, while the implementation holds the lock.
public protocol Repository<Entity>: Sendable {
    associatedtype Entity: Identifiable & Sendable where Entity.ID: Sendable

    /// Returns the entity with an id, or `nil` if there is none.
    func find(_ id: Entity.ID) async throws -> Entity?

    /// Returns the entities in the order of their ids (keyset pagination). Pages remain correct while entities are inserted
    /// and deleted.
    /// - Parameters:
    ///   - id: The last id of the previous page; `nil` for the first page.
    ///   - limit: The maximum number of entities.
    func list(after id: Entity.ID?, limit: Int) async throws -> [Entity]

    /// Adds an entity.
    /// - Throws: An `AppError` of code `alreadyExists` if its id, or another value that must be unique, is taken.
    func insert(_ entity: Entity) async throws

    /// Adds many entities, or none.
    /// - Throws: An `AppError` of code `alreadyExists` if an id, or another value that must be unique, is taken.
    func insert(_ entities: [Entity]) async throws

    /// Adds an entity, or replaces the one with its id.
    func upsert(_ entity: Entity) async throws

    /// Replaces the entity that has the same id.
    ///
    /// If the entity is ``Versioned``, it is replaced only if its version is the stored one, so that nobody's change is
    /// lost. Use it for changes that took longer than a transaction should, such as a form that a person fills in;
    /// otherwise prefer ``update(_:_:)``.
    /// - Returns: The entity as it is stored, with its next version.
    /// - Throws: An `AppError` of code `notFound` if there is no such entity, and of code `aborted` if it was changed
    ///   since it was read.
    @discardableResult
    func save(_ entity: Entity) async throws -> Entity

    /// Changes an entity under an exclusive lock. The change is stored if the closure returns, and dropped if it
    /// throws.
    ///
    /// The closure may run on another thread, without the task's values, and again after a conflict. It may call
    /// ``UnitOfWork/afterCommit(_:)``.
    /// - Returns: The entity after the change.
    /// - Throws: An `AppError` of code `notFound` if there is no such entity, or the error that the closure throws.
    @discardableResult
    func update(_ id: Entity.ID, _ change: @escaping @Sendable (inout Entity) throws -> Void) async throws -> Entity

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

    /// Returns the error for an entity that was changed since it was read.
    static func changed(_ id: Entity.ID) -> AppError {
        AppError(.aborted, "The \(Entity.self) with the id \(id) was changed by someone else. Read it again.")
    }
}
