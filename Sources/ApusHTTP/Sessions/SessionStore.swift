import ApusCore
public import FoundationEssentials
import Synchronization

/// A session in a ``SessionStore``.
public struct StoredSession: Sendable, Equatable {
    /// The encoded session.
    public var data: [UInt8]
    /// The time at which the session expires.
    public var expiresAt: Date
    /// The version, which increases with every change. A change must specify the version that it is based on.
    public var version: Int

    public init(_ data: [UInt8], expiresAt: Date, version: Int = 1) {
        self.data = data
        self.expiresAt = expiresAt
        self.version = version
    }
}

/// A store of sessions.
///
/// The ids are hashes of the clients' tokens, so that read access to the store is not enough to take over a session.
public protocol SessionStore: Sendable {
    /// Returns the session with an id; `nil` if it does not exist or has expired.
    func load(_ id: String, now: Date) async throws -> StoredSession?
    /// Inserts a new session.
    func insert(_ id: String, _ session: StoredSession) async throws
    /// Atomically replaces a session, and its id if the new one differs, provided that it still has the given version.
    /// - Returns: Whether the session was replaced; `false` if it does not exist or has another version.
    func replace(
        _ id: String, version: Int, by newID: String, _ session: StoredSession
    ) async throws -> Bool
    /// Sets the expiry of a session. Does nothing if the session does not exist.
    func extend(_ id: String, until: Date) async throws
    /// Removes a session. Does nothing if the session does not exist.
    func delete(_ id: String) async throws
    /// Removes all expired sessions.
    func deleteExpired(now: Date) async throws
}

/// A session store in memory, for development and tests. All sessions are lost when the process ends.
///
/// The number of sessions is limited: at the limit, a tenth of the sessions is removed, those that expire first.
public final class MemorySessionStore: SessionStore {
    private let sessions = Mutex<[String: StoredSession]>([:])
    private let capacity: Int

    /// Creates an empty store.
    /// - Parameter capacity: The maximum number of sessions, at least 16. The default is 100,000.
    public init(capacity: Int = 100_000) { self.capacity = max(16, capacity) }

    public func load(_ id: String, now: Date) -> StoredSession? {
        sessions.withLock { $0[id].flatMap { $0.expiresAt > now ? $0 : nil } }
    }

    public func insert(_ id: String, _ session: StoredSession) {
        sessions.withLock { sessions in
            if sessions.count >= capacity {
                let retained = sessions.sorted { $0.value.expiresAt > $1.value.expiresAt }.prefix(capacity * 9 / 10)
                sessions = Dictionary(uniqueKeysWithValues: retained.map { ($0.key, $0.value) })
            }
            sessions[id] = session
        }
    }

    public func replace(_ id: String, version: Int, by newID: String, _ session: StoredSession) -> Bool {
        sessions.withLock { sessions in
            guard sessions[id]?.version == version else { return false }
            sessions[id] = nil
            sessions[newID] = session
            return true
        }
    }

    public func extend(_ id: String, until: Date) { sessions.withLock { $0[id]?.expiresAt = until } }

    public func delete(_ id: String) { sessions.withLock { $0[id] = nil } }

    public func deleteExpired(now: Date) {
        sessions.withLock { sessions in sessions = sessions.filter { $0.value.expiresAt > now } }
    }
}
