import NIOCore

/// A message of a subscription, or the confirmation of one.
enum PushMessage: Equatable {
    /// The kinds of subscriptions.
    enum Kind: Hashable, Sendable {
        /// One channel.
        case channel
        /// All channels whose names match a pattern.
        case pattern
        /// One channel of a cluster's hash slot.
        case shard
    }

    /// A message.
    /// - Parameter subscription: The channel or the pattern that was subscribed to.
    case message(Kind, subscription: ByteBuffer, channel: ByteBuffer, ByteBuffer)
    case subscribed(Kind, ByteBuffer)
    case unsubscribed(Kind, ByteBuffer)

    /// Interprets the elements of a push message.
    /// - Returns: `nil` for other kinds of messages.
    init?(_ elements: [RedisValue]) {
        guard let kind = elements.first, elements.count >= 3 else { return nil }
        let (second, third) = (elements[1].text, elements[2].text)
        func message(_ kind: Kind) -> PushMessage? {
            guard let second, let third else { return nil }
            return .message(kind, subscription: second, channel: second, third)
        }
        let result: PushMessage? =
            if kind.isText("message") {
                message(.channel)
            } else if kind.isText("smessage") {
                message(.shard)
            } else if kind.isText("pmessage") {
                if elements.count == 4, let second, let third, let content = elements[3].text {
                    .message(.pattern, subscription: second, channel: third, content)
                } else {
                    nil
                }
            } else if kind.isText("subscribe") {
                second.map { .subscribed(.channel, $0) }
            } else if kind.isText("psubscribe") {
                second.map { .subscribed(.pattern, $0) }
            } else if kind.isText("ssubscribe") {
                second.map { .subscribed(.shard, $0) }
            } else if kind.isText("unsubscribe") {
                // Without subscriptions, the channel is null.
                .unsubscribed(.channel, second ?? ByteBuffer())
            } else if kind.isText("punsubscribe") {
                .unsubscribed(.pattern, second ?? ByteBuffer())
            } else if kind.isText("sunsubscribe") {
                .unsubscribed(.shard, second ?? ByteBuffer())
            } else {
                nil
            }
        guard let result else { return nil }
        self = result
    }
}
