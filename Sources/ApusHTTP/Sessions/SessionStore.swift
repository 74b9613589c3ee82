import ApusCore
public import FoundationEssentials
import Synchronization

/// Where sessions are kept.
///
/// A store never sees what the client has: ids are hashes of it, so that nobody who reads the store can be someone else.
public protocol SessionStore: Sendable {
    /// What is kept under an id, and until when; `nil` if nothing is, or its time is over.
    func load(_ id: String, now: Date) async throws -> (data: [UInt8], until: Date)?
    /// Keeps it until a moment, in place of what was there.
    func save(_ id: String, _ data: [UInt8], until: Date) async throws
    /// Keeps what is there until another moment. Nothing happens if nothing is there.
    func extend(_ id: String, until: Date) async throws
    /// Forgets it.
    func delete(_ id: String) async throws
    /// Forgets all whose time is over.
    func deleteExpired(now: Date) async throws
}

/// Sessions in the memory of this process, for development and tests: a restart ends them all.
///
/// Bounded: when there are too many, those that end first are forgotten first.
public final class MemorySessionStore: SessionStore {
    private struct Entry {
        var data: [UInt8]
        var until: Date
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let capacity: Int

    /// - Parameter capacity: The most sessions. 100,000.
    public init(capacity: Int = 100_000) { self.capacity = max(16, capacity) }

    public func load(_ id: String, now: Date) -> (data: [UInt8], until: Date)? {
        entries.withLock { $0[id].flatMap { $0.until > now ? ($0.data, $0.until) : nil } }
    }

    public func extend(_ id: String, until: Date) { entries.withLock { $0[id]?.until = until } }

    public func save(_ id: String, _ data: [UInt8], until: Date) {
        entries.withLock { entries in
            if entries[id] == nil, entries.count >= capacity {
                let kept = entries.sorted { $0.value.until > $1.value.until }.prefix(capacity * 9 / 10)
                entries = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
            }
            entries[id] = Entry(data: data, until: until)
        }
    }

    public func delete(_ id: String) { entries.withLock { $0[id] = nil } }

    public func deleteExpired(now: Date) {
        entries.withLock { entries in entries = entries.filter { $0.value.until > now } }
    }
}
