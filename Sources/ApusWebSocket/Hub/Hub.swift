public import ApusData
public import Logging
import NIOCore

/// A set of rooms and their members. A message to a room is encoded once, regardless of the number of members.
///
/// A broadcast never waits: each member has its own bounded queue, and ``Overflow`` decides what happens when a member
/// does not keep up.
///
/// A hub covers one process, or all processes that give it the same name and the same `PubSub`, see
/// ``init(_:sharedThrough:logger:)``.
public final class Hub<Room: Hashable & Sendable>: Sendable {
    private let rooms: HubRooms<Room>
    /// The way to other processes; `nil` if the hub covers one process.
    private let sharing: (any HubSharing<Room>)?

    /// Creates a hub that covers this process.
    public init() {
        rooms = HubRooms()
        sharing = nil
    }

    /// Creates a hub that covers all processes of a service.
    ///
    /// ```swift
    /// let hub = Hub<Order.ID>("orders", sharedThrough: pubSub, logger: logger)
    /// ```
    ///
    /// A broadcast reaches the members in this process at once, and those in other processes through the `PubSub`, in the
    /// order of the broadcasts, at most once. If messages to other processes may have been lost, because the server
    /// between them was away or could not keep up, their members are told: see
    /// ``HubMember/relay(_:receive:resync:)``. The number of members, ``count(in:)``, is that in this process.
    ///
    /// The process subscribes when the first member joins. Messages that wait to be sent to other processes are bounded;
    /// one with a key replaces one to the same rooms with the same key.
    /// - Parameters:
    ///   - name: The name of the hub, which must be unique among those of the service: the channel `hub.<name>`.
    ///   - pubSub: Connects the processes.
    ///   - logger: Logs when the other processes cannot be reached, once, and when they can again.
    public init(_ name: String, sharedThrough pubSub: any PubSub, logger: Logger) where Room: Codable {
        rooms = HubRooms()
        sharing = SharedRooms(name, pubSub, rooms, logger)
    }

    /// Joins a room while the body runs. Messages broadcast in the meantime are queued until the member relays them.
    ///
    /// In a hub that is shared, the first to join wait until the process has subscribed, at most two seconds: what the body
    /// reads after that is followed by every later message, from whatever process.
    /// - Parameters:
    ///   - capacity: The maximum number of queued messages. 64 by default.
    ///   - overflow: The policy for a full queue.
    public func join<Result>(
        _ room: Room, capacity: Int = 64, overflow: Overflow = .latestWins,
        _ body: (HubMember) async throws -> Result
    ) async rethrows -> Result {
        let member = await subscribeAndEnter(room, capacity: capacity, overflow: overflow)
        defer { member.leave() }
        return try await body(member)
    }

    func subscribeAndEnter(_ room: Room, capacity: Int = 64, overflow: Overflow = .latestWins) async -> HubMember {
        await sharing?.waitUntilSubscribed()
        return enter(room, capacity: capacity, overflow: overflow)
    }

    func enter(_ room: Room, capacity: Int = 64, overflow: Overflow = .latestWins) -> HubMember {
        rooms.enter(room, capacity: capacity, overflow: overflow)
    }

    /// Sends a message to all members of a room.
    /// - Parameter key: With ``Overflow/latestWins``, the message replaces a queued one with the same key.
    public func broadcast(_ message: WebSocketMessage, to room: Room, key: String? = nil) {
        broadcast(message, to: [room], key: key)
    }

    /// Sends a message to all members of several rooms.
    public func broadcast(_ message: WebSocketMessage, to rooms: [Room], key: String? = nil) {
        self.rooms.deliver(to: rooms, key: key) { WebSocket.encode(message) }
        sharing?.publish(message, to: rooms, key: key)
    }

    /// Sends a value to all members of a room, as JSON like that of responses. It is encoded once, and in a hub of one
    /// process only if the room has members.
    /// - Parameter key: With ``Overflow/latestWins``, the message replaces a queued one with the same key.
    /// - Throws: An error of the encoding.
    public func broadcast(json value: some Encodable, to room: Room, key: String? = nil) throws {
        try broadcast(json: value, to: [room], key: key)
    }

    /// Sends a value to all members of several rooms.
    public func broadcast(json value: some Encodable, to rooms: [Room], key: String? = nil) throws {
        guard sharing == nil else { return broadcast(try WebSocketMessage(json: value), to: rooms, key: key) }
        try self.rooms.deliver(to: rooms, key: key) { try WebSocket.encode(json: value) }
    }

    /// How many times messages to other processes were dropped, of which these do not know yet.
    var untoldDrops: Int { sharing?.untoldDrops ?? 0 }

    /// Returns the number of members of a room in this process.
    public func count(in room: Room) -> Int { rooms.count(in: room) }
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
