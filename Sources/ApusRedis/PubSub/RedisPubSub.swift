public import ApusData
import NIOCore

/// Sends messages to the subscribers in all processes that use the same Redis.
public final class RedisPubSub: PubSub {
    private let client: RedisClient
    private let prefix: String

    /// Creates the engine.
    /// - Parameters:
    ///   - client: The client, which must not be closed before this engine is used for the last time.
    ///   - prefix: Precedes the names of the channels, because all databases of a server share them.
    public init(_ client: RedisClient, prefix: String = "") {
        self.client = client
        self.prefix = prefix
    }

    public func publish(_ message: [UInt8], to channel: String) async throws {
        try await client.publish(message, to: prefix + channel)
    }

    public func subscribe(to channel: String, capacity: Int) async throws -> PubSubSubscription {
        let events = BoundedEvents(capacity: capacity, gap: PubSubEvent.gap)
        let subscriber = Subscriber(
            message: { _, content in events.push(.message(Array(content.readableBytesView))) },
            gap: { events.pushGap() }, end: { events.finish() })
        try await client.subscriptions.add(subscriber, prefix + channel, .channel)
        return PubSubSubscription(events: events) { [client] in client.subscriptions.remove(subscriber) }
    }
}
