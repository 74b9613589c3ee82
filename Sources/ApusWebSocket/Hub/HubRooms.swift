import NIOCore
import Synchronization

/// The rooms of a hub, and their members in this process.
final class HubRooms<Room: Hashable & Sendable>: Sendable {
    private let rooms = Mutex<[Room: [ObjectIdentifier: HubMember]]>([:])

    func enter(_ room: Room, capacity: Int, overflow: Overflow) -> HubMember {
        let member = HubMember(capacity: capacity, overflow: overflow) { [weak self] member in
            self?.remove(member, from: room)
        }
        rooms.withLock { $0[room, default: [:]][ObjectIdentifier(member)] = member }
        return member
    }

    private func remove(_ member: HubMember, from room: Room) {
        rooms.withLock { rooms in
            rooms[room]?[ObjectIdentifier(member)] = nil
            if rooms[room]?.isEmpty == true { rooms[room] = nil }
        }
    }

    /// Gives the members of rooms a frame, which is encoded only if there are any.
    func deliver(to rooms: [Room], key: String?, _ encode: () throws -> ByteBuffer) rethrows {
        let members = self.rooms.withLock { all in rooms.flatMap { all[$0].map { Array($0.values) } ?? [] } }
        guard !members.isEmpty else { return }
        let frame = try encode()
        for member in members { member.push(frame, key: key) }
    }

    /// Tells all members that messages may have been lost.
    func tellGap() {
        let members = rooms.withLock { $0.values.flatMap { Array($0.values) } }
        for member in members { member.pushGap() }
    }

    func count(in room: Room) -> Int { rooms.withLock { $0[room]?.count ?? 0 } }
}
