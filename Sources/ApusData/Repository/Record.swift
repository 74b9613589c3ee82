/// The mapping of an entity to a table, from which ``SQLRepository`` derives its statements. Declare it next to the
/// repository, so that the domain does not depend on it.
///
/// ```swift
/// extension Order: Record {
///     static let table = "orders"
///     var columns: [(name: String, value: any SQLValueConvertible)] { [("id", id), ("state", state)] }
///     init(row: Row) throws { self.init(id: try row.get("id"), state: try row.get("state")) }
/// }
/// ```
public protocol Record: Identifiable, RowDecodable, Sendable where ID: SQLValueConvertible {
    /// The name of the table.
    static var table: String { get }
    /// The name of the id column. `id` by default.
    static var idColumn: String { get }
    /// The name of the column of ``Versioned/version``, for entities that are versioned. `version` by default.
    static var versionColumn: String { get }
    /// The name of the column with the time at which an entity was deleted, whose type is `\(type: .timestamp)` and which
    /// can be null. Entities with a time remain in the table, but the repository no longer finds them. `nil` by default:
    /// entities are removed from the table.
    static var deletedColumn: String? { get }
    /// All columns with their values, including the id, but not ``deletedColumn``.
    var columns: [(name: String, value: any SQLValueConvertible)] { get }
}

extension Record {
    public static var idColumn: String { "id" }
    public static var versionColumn: String { "version" }
    public static var deletedColumn: String? { nil }
}

/// An entity that counts its changes, so that ``Repository/save(_:)`` notices if it was changed by others meanwhile.
public protocol Versioned {
    /// The number of changes since the entity was inserted. The repository increments it.
    var version: Int { get set }
}

/// Returns the version of an entity; `nil` if it is not versioned.
func version(of entity: some Any) -> Int? { (entity as? any Versioned)?.version }

/// Returns an entity as it is stored after a change.
func withNextVersion<Entity>(_ entity: Entity, after version: Int) -> Entity {
    guard var versioned = entity as? any Versioned else { return entity }
    versioned.version = version + 1
    return versioned as? Entity ?? entity
}
