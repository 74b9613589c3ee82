import ApusCore
import ApusData
import Logging
import Synchronization

/// How a hub reaches other processes.
protocol HubSharing<Room>: Sendable {
    associatedtype Room

    /// Waits until messages of other processes are received, or cannot be at the moment.
    func waitUntilSubscribed() async

    /// How many times messages were dropped, of which the other processes do not know yet.
    var untoldDrops: Int { get }

    /// Sends a message to the other processes, without waiting.
    func publish(_ message: WebSocketMessage, to rooms: [Room], key: String?)
}

/// Connects the rooms of a hub with those of other processes.
final class SharedRooms<Room: Hashable & Codable & Sendable>: HubSharing {
    private let pubSub: any PubSub
    private let channel: String
    private let rooms: HubRooms<Room>
    private let outbox: HubOutbox<Room>
    /// The name of this hub among those of all processes.
    private let sender: String
    private let log: HubOutageLog
    private let reader = Mutex<Task<Void, any Error>?>(nil)
    private let firstAttempt = Latch()

    /// The maximum number of received messages that wait to be delivered.
    private static var capacity: Int { 4096 }
    /// How long the first members wait for the subscription.
    private static var patience: Duration { .seconds(2) }

    init(_ name: String, _ pubSub: any PubSub, _ rooms: HubRooms<Room>, _ logger: Logger) {
        self.pubSub = pubSub
        self.rooms = rooms
        channel = "hub.\(name)"
        sender = Identifier<Self>().description
        log = HubOutageLog(name, logger)
        outbox = HubOutbox(pubSub, channel: channel, sender: sender, log)
    }

    deinit { reader.withLock { $0?.cancel() } }

    func publish(_ message: WebSocketMessage, to rooms: [Room], key: String?) {
        outbox.add(HubEnvelope(message, from: sender, to: rooms, key: key))
    }

    var untoldDrops: Int { outbox.untoldDrops }

    func waitUntilSubscribed() async {
        guard !firstAttempt.isOpen else { return }
        reader.withLock { if $0 == nil { $0 = read() } }
        let firstAttempt = firstAttempt
        try? await withDeadline(.after(Self.patience)) { await firstAttempt.wait() }
    }

    /// Delivers what other processes send. The task does not keep this object, which cancels it.
    private func read() -> Task<Void, any Error> {
        Task.detached { [pubSub, channel, rooms, sender, log, firstAttempt] in
            try await pubSub.listen(to: channel, capacity: Self.capacity) { error in
                log.failed(error)
                firstAttempt.open()
            } _: { event in
                switch event {
                case .gap:
                    log.recovered()
                    rooms.tellGap()
                    firstAttempt.open()
                case .message(let bytes): Self.deliver(bytes, to: rooms, except: sender, log)
                }
            }
        }
    }

    private static func deliver(_ bytes: [UInt8], to rooms: HubRooms<Room>, except sender: String, _ log: HubOutageLog)
    {
        let envelope: HubEnvelope<Room>
        do {
            envelope = try HubEnvelope(bytes)
        } catch {
            return log.notUnderstood(error)
        }
        guard envelope.header.sender != sender else { return }
        guard envelope.header.kind != .gap else { return rooms.tellGap() }
        guard let message = envelope.message else { return }
        rooms.deliver(to: envelope.header.rooms, key: envelope.header.key) { WebSocket.encode(message) }
    }
}
