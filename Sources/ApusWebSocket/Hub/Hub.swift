import NIOCore
import Synchronization

/// Rooms, and who is in them. A message to a room is encoded once, whatever the number of its members.
///
/// A broadcast never waits: each member has a bounded queue of its own, and ``Overflow`` says what happens to one that
/// does not keep up.
public final class Hub<Room: Hashable & Sendable>: Sendable {
    private let rooms = Mutex<[Room: [ObjectIdentifier: HubMember]]>([:])

    public init() {}

    /// Is in a room as long as a body runs. What is broadcast meanwhile is queued for the member until it is relayed.
    /// - Parameters:
    ///   - capacity: The most messages that are queued. 64.
    ///   - overflow: What happens past it.
    public func join<Result>(
        _ room: Room, capacity: Int = 64, overflow: Overflow = .latestWins,
        _ body: (HubMember) async throws -> Result
    ) async rethrows -> Result {
        let member = enter(room, capacity: capacity, overflow: overflow)
        defer { member.leave() }
        return try await body(member)
    }

    func enter(_ room: Room, capacity: Int = 64, overflow: Overflow = .latestWins) -> HubMember {
        let member = HubMember(capacity: capacity, overflow: overflow) { [weak self] member in
            self?.remove(member, from: room)
        }
        rooms.withLock { $0[room, default: [:]][ObjectIdentifier(member)] = member }
        return member
    }

    /// Sends a message to all who are in a room.
    /// - Parameter key: Under ``Overflow/latestWins`` a message replaces the one of the same key that still waits.
    public func broadcast(_ message: WebSocketMessage, to room: Room, key: String? = nil) {
        let members = rooms.withLock { $0[room].map { Array($0.values) } ?? [] }
        guard !members.isEmpty else { return }
        let frame = WebSocket.encode(message)
        for member in members { member.push(frame, key: key) }
    }

    /// How many are in a room.
    public func count(in room: Room) -> Int { rooms.withLock { $0[room]?.count ?? 0 } }

    private func remove(_ member: HubMember, from room: Room) {
        rooms.withLock { rooms in
            rooms[room]?[ObjectIdentifier(member)] = nil
            if rooms[room]?.isEmpty == true { rooms[room] = nil }
        }
    }
}

/// What happens to a member whose queue is full.
public enum Overflow: Sendable {
    /// A message replaces the one of the same key that still waits; without one, the oldest is dropped.
    case latestWins
    /// The new message is dropped.
    case dropNewest
    /// The member is disconnected, with close code 1013.
    case disconnect
}
