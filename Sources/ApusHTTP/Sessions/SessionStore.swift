import ApusCore
public import FoundationEssentials
import Synchronization

/// A session as a store keeps it.
public struct StoredSession: Sendable, Equatable {
    /// What the session holds.
    public var data: [UInt8]
    /// When it expires.
    public var until: Date
    /// Grows with every change: whoever changes a session names the version that they have read.
    public var version: Int

    public init(_ data: [UInt8], until: Date, version: Int = 1) {
        self.data = data
        self.until = until
        self.version = version
    }
}

/// Where sessions are kept.
///
/// A store never sees the token that the client has: ids are hashes of it, so that nobody who reads the store can take over a
/// session.
public protocol SessionStore: Sendable {
    /// The session of an id; `nil` if there is none, or it has expired.
    func load(_ id: String, now: Date) async throws -> StoredSession?
    /// Keeps a new session.
    func insert(_ id: String, _ session: StoredSession) async throws
    /// Replaces a session, and its id if the new one differs, if it is still of the version that was read. In one step.
    /// - Returns: Whether it was replaced: not if the session is gone, or of another version.
    func replace(
        _ id: String, version: Int, by newID: String, _ session: StoredSession
    ) async throws -> Bool
    /// Moves the expiry of a session. Nothing happens if there is none of the id.
    func extend(_ id: String, until: Date) async throws
    /// Removes a session, if it is there.
    func delete(_ id: String) async throws
    /// Removes all sessions that have expired.
    func deleteExpired(now: Date) async throws
}

/// Sessions in the memory of this process, for development and tests: a restart ends them all.
///
/// Bounded: when there are too many, those that expire first are dropped first.
public final class MemorySessionStore: SessionStore {
    private let sessions = Mutex<[String: StoredSession]>([:])
    private let capacity: Int

    /// - Parameter capacity: The maximum number of sessions. 100,000.
    public init(capacity: Int = 100_000) { self.capacity = max(16, capacity) }

    public func load(_ id: String, now: Date) -> StoredSession? {
        sessions.withLock { $0[id].flatMap { $0.until > now ? $0 : nil } }
    }

    public func insert(_ id: String, _ session: StoredSession) {
        sessions.withLock { sessions in
            if sessions.count >= capacity {
                let kept = sessions.sorted { $0.value.until > $1.value.until }.prefix(capacity * 9 / 10)
                sessions = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
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

    public func extend(_ id: String, until: Date) { sessions.withLock { $0[id]?.until = until } }

    public func delete(_ id: String) { sessions.withLock { $0[id] = nil } }

    public func deleteExpired(now: Date) {
        sessions.withLock { sessions in sessions = sessions.filter { $0.value.until > now } }
    }
}
