/// Sends messages to all subscribers of a channel, in this process or, depending on the engine, in all processes.
///
/// A message reaches only those who are subscribed when it is sent, at most once. Send what has changed rather than the
/// change itself, so that a subscriber that missed messages can read the current state: it learns by
/// ``PubSubEvent/gap`` that it must.
///
/// ```swift
/// let events = try await pubSub.subscribe(to: "orders")
/// for try await event in events {
///     switch event {
///     case .message(let bytes): apply(bytes)
///     case .gap: try await readAll()
///     }
/// }
/// ```
public protocol PubSub: Sendable {
    /// Sends a message.
    /// - Throws: An `AppError` with code `unavailable` if the engine cannot be reached, or `invalidArgument` if it does
    ///   not accept the message.
    func publish(_ message: [UInt8], to channel: String) async throws

    /// Subscribes to a channel. Messages that are sent after this call has returned are received.
    /// - Parameters:
    ///   - channel: The name of the channel.
    ///   - capacity: The maximum number of messages that wait for the subscriber. If there are more, the oldest are
    ///     dropped and the subscriber gets a gap instead.
    /// - Returns: The events. Releasing the sequence ends the subscription.
    /// - Throws: An `AppError` with code `unavailable` if the engine cannot be reached.
    func subscribe(to channel: String, capacity: Int) async throws -> PubSubSubscription
}

extension PubSub {
    /// Subscribes to a channel. Up to 256 messages wait for the subscriber.
    public func subscribe(to channel: String) async throws -> PubSubSubscription {
        try await subscribe(to: channel, capacity: 256)
    }
}

/// What a subscriber receives.
public enum PubSubEvent: Sendable, Hashable {
    /// A message.
    case message([UInt8])
    /// Messages may have been lost, because the connection to the engine was lost or the subscriber was too slow. Read
    /// the current state again; the messages that follow are newer than the gap.
    case gap
}

/// The events of a subscription, for one reader. Ends when the publishing side is closed, or when the task is cancelled.
public final class PubSubSubscription: AsyncSequence, Sendable {
    public typealias Element = PubSubEvent

    private let events: BoundedEvents<PubSubEvent>
    private let onEnd: @Sendable () -> Void

    /// Creates a subscription for an engine.
    /// - Parameter onEnd: Called once when the subscription is released or cancelled.
    package init(events: BoundedEvents<PubSubEvent>, onEnd: @escaping @Sendable () -> Void) {
        self.events = events
        self.onEnd = onEnd
    }

    deinit { cancel() }

    /// Ends the subscription.
    public func cancel() { if events.finish() { onEnd() } }

    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// Reads the events.
    public struct Iterator: AsyncIteratorProtocol {
        // Also keeps the subscription alive while it is read.
        let subscription: PubSubSubscription

        /// Waits for the next event.
        /// - Returns: `nil` after the end.
        /// - Throws: `CancellationError`.
        public mutating func next() async throws -> PubSubEvent? { try await subscription.events.next() }
    }
}
