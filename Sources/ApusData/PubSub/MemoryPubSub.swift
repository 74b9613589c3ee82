import ApusCore
import Synchronization

/// Sends messages to the subscribers in this process.
public final class MemoryPubSub: PubSub {
    private typealias Subscribers = [ObjectIdentifier: BoundedEvents<PubSubEvent>]

    private let channels = Mutex<[ExactString: Subscribers]>([:])

    /// Creates the engine.
    public init() {}

    public func publish(_ message: [UInt8], to channel: String) async throws {
        // The lock is held, so that all subscribers see messages in one order.
        channels.withLock { channels in
            for events in (channels[ExactString(channel)] ?? [:]).values { events.push(.message(message)) }
        }
    }

    public func subscribe(to channel: String, capacity: Int) async throws -> PubSubSubscription {
        let events = BoundedEvents(capacity: capacity, gap: PubSubEvent.gap)
        let (channel, id) = (ExactString(channel), ObjectIdentifier(events))
        channels.withLock { $0[channel, default: [:]][id] = events }
        return PubSubSubscription(events: events) { [weak self] in self?.remove(id, from: channel) }
    }

    private func remove(_ id: ObjectIdentifier, from channel: ExactString) {
        channels.withLock { channels in
            channels[channel]?[id] = nil
            if channels[channel]?.isEmpty == true { channels[channel] = nil }
        }
    }

    /// The number of subscribers of a channel.
    package func subscribers(of channel: String) -> Int { channels.withLock { $0[ExactString(channel)]?.count ?? 0 } }
}
