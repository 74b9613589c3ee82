import ApusData
import NIOCore

extension RedisClient {
    /// Sends a message to the subscribers of a channel.
    /// - Returns: The number of subscribers that the server sent it to; in a cluster, only those of that server.
    /// - Throws: The errors of ``RedisCommands/send(_:)``.
    @discardableResult
    public func publish(_ message: some RedisEncodable, to channel: String) async throws -> Int {
        var command = RedisCommand("PUBLISH")
        command.append(channel)
        message.encode(into: &command)
        return try await send(command, as: Int.self)
    }

    /// Sends a message to the subscribers of a sharded channel, which one server of a cluster has.
    @discardableResult
    public func publish(_ message: some RedisEncodable, toSharded channel: String) async throws -> Int {
        var command = RedisCommand("SPUBLISH")
        command.append(key: channel)
        message.encode(into: &command)
        return try await send(command, as: Int.self)
    }

    /// Subscribes to a channel. Returns when the server has confirmed it.
    ///
    /// When the connection is lost, it is opened again, and the first element after that is a
    /// ``RedisSubscriptionEvent/gap``.
    ///
    /// - Parameter capacity: The maximum number of messages that wait for the reader. If there are more, the oldest are
    ///   dropped and the reader gets a gap. 256 by default.
    /// - Throws: An `AppError` with code `unavailable` if Redis cannot be reached, or `deadlineExceeded`; ``RedisError`` if
    ///   the user may not subscribe to the channel.
    public func subscribe(to channel: String, capacity: Int = 256) async throws -> RedisSubscription {
        try await subscribe(channel, .channel, capacity)
    }

    /// Subscribes to all channels whose names match a pattern, such as `orders.*`.
    public func subscribe(toPattern pattern: String, capacity: Int = 256) async throws -> RedisSubscription {
        try await subscribe(pattern, .pattern, capacity)
    }

    /// Subscribes to a sharded channel (Redis 7). If its hash slot moves to another server, the sequence gets a gap and
    /// ends; subscribe again then.
    public func subscribe(toSharded channel: String, capacity: Int = 256) async throws -> RedisSubscription {
        try await subscribe(channel, .shard, capacity)
    }

    private func subscribe(_ name: String, _ kind: PushMessage.Kind, _ capacity: Int) async throws -> RedisSubscription
    {
        let events = BoundedEvents(capacity: capacity, gap: RedisSubscriptionEvent.gap)
        let subscriber = Subscriber(
            message: { channel, content in events.push(.message(channel: String(buffer: channel), content)) },
            gap: { events.pushGap() }, end: { events.finish() })
        try await subscriptions.add(subscriber, name, kind)
        return RedisSubscription(events: events) { [subscriptions] in subscriptions.remove(subscriber) }
    }
}
