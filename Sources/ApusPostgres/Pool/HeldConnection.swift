import Synchronization

/// A connection of a pool that a task has while it runs a closure whose statements do not use it, such as that of a
/// stream. Meanwhile the task does not wait for another one: if all tasks did, none would go on.
final class HeldConnection: Sendable {
    @TaskLocal private static var current: HeldConnection?

    private let pool: ObjectIdentifier
    private let outer = HeldConnection.current
    /// A task that was started by the closure may outlive it.
    private let isReleased = Atomic(false)

    private init(_ pool: ExclusivePool) { self.pool = ObjectIdentifier(pool) }

    /// Runs a closure while the task has a connection.
    static func hold<Result>(of pool: ExclusivePool, _ body: () async throws -> Result) async throws -> Result {
        let held = HeldConnection(pool)
        defer { held.isReleased.store(true, ordering: .relaxed) }
        return try await $current.withValue(held, operation: body)
    }

    /// Whether the task has a connection of a pool.
    static func exists(of pool: ExclusivePool) -> Bool {
        var candidate = current
        while let held = candidate {
            if held.pool == ObjectIdentifier(pool), !held.isReleased.load(ordering: .relaxed) { return true }
            candidate = held.outer
        }
        return false
    }
}
