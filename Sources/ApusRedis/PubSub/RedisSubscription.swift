package import ApusData
public import NIOCore

/// What a subscriber receives.
public enum RedisSubscriptionEvent: Sendable, Hashable {
    /// A message, and the channel that it was sent to.
    case message(channel: String, ByteBuffer)
    /// Messages may have been lost, because the connection was lost or the subscriber was too slow. Comes before the first
    /// message after that.
    case gap
}

/// The messages of a channel, or of all channels that match a pattern, for one reader. Releasing it ends the subscription.
public final class RedisSubscription: AsyncSequence, Sendable {
    public typealias Element = RedisSubscriptionEvent

    private let events: BoundedEvents<RedisSubscriptionEvent>
    private let onEnd: @Sendable () -> Void

    package init(events: BoundedEvents<RedisSubscriptionEvent>, onEnd: @escaping @Sendable () -> Void) {
        self.events = events
        self.onEnd = onEnd
    }

    deinit { cancel() }

    /// Ends the subscription.
    public func cancel() { if events.finish() { onEnd() } }

    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// Reads the messages.
    public struct Iterator: AsyncIteratorProtocol {
        // Also keeps the subscription alive while it is read.
        let subscription: RedisSubscription

        /// Waits for the next message.
        /// - Returns: `nil` after the client has been closed.
        /// - Throws: `CancellationError`.
        public mutating func next() async throws -> RedisSubscriptionEvent? {
            try await subscription.events.next()
        }
    }
}
