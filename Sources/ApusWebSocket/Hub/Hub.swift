import NIOCore
import Synchronization

/// A set of rooms and their members. A message to a room is encoded once, regardless of the number of members.
///
/// A broadcast never waits: each member has its own bounded queue, and ``Overflow`` decides what happens when a member
/// does not keep up.
public final class Hub<Room: Hashable & Sendable>: Sendable {
    private let rooms = Mutex<[Room: [ObjectIdentifier: HubMember]]>([:])

    public init() {}

    /// Joins a room while the body runs. Messages broadcast in the meantime are queued until the member relays them.
    /// - Parameters:
    ///   - capacity: The maximum number of queued messages. 64 by default.
    ///   - overflow: The policy for a full queue.
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

    /// Sends a message to all members of a room.
    /// - Parameter key: With ``Overflow/latestWins``, the message replaces a queued one with the same key.
    public func broadcast(_ message: WebSocketMessage, to room: Room, key: String? = nil) {
        broadcast(to: room, key: key) { WebSocket.encode(message) }
    }

    /// Sends a value to all members of a room, as JSON like that of responses. It is encoded once, and only if the room
    /// has members.
    /// - Parameter key: With ``Overflow/latestWins``, the message replaces a queued one with the same key.
    /// - Throws: An error of the encoding.
    public func broadcast(json value: some Encodable, to room: Room, key: String? = nil) throws {
        try broadcast(to: room, key: key) { try WebSocket.encode(json: value) }
    }

    private func broadcast(to room: Room, key: String?, _ encode: () throws -> ByteBuffer) rethrows {
        let members = rooms.withLock { $0[room].map { Array($0.values) } ?? [] }
        guard !members.isEmpty else { return }
        let frame = try encode()
        for member in members { member.push(frame, key: key) }
    }

    /// Returns the number of members of a room.
    public func count(in room: Room) -> Int { rooms.withLock { $0[room]?.count ?? 0 } }

    private func remove(_ member: HubMember, from room: Room) {
        rooms.withLock { rooms in
            rooms[room]?[ObjectIdentifier(member)] = nil
            if rooms[room]?.isEmpty == true { rooms[room] = nil }
        }
    }
}

/// The policy for a member whose queue is full.
public enum Overflow: Sendable {
    /// The message replaces a queued one with the same key; if there is none, the oldest message is dropped.
    case latestWins
    /// The new message is dropped.
    case dropNewest
    /// The member is disconnected with close code 1013.
    case disconnect
}
