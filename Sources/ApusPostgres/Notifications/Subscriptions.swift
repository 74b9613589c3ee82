import ApusCore

/// The subscribers to notifications, and the channels that are listened to for them on the current connection.
///
/// Each `LISTEN` has a number, so that its confirmation is not taken for that of another one: a channel can be given up and
/// taken up again while the server has not answered.
struct Subscriptions<Stream> {
    private struct Subscriber {
        let channel: ExactString
        let stream: Stream
        /// Whether it was told that what was sent before it listened is lost.
        var isListening = false
    }

    /// The numbers of those `LISTEN` that were sent before a question to the server.
    struct Sent {
        fileprivate let numbers: [ExactString: Int]
    }

    private var subscribers: [Int: Subscriber] = [:]
    private var channels: [ExactString: Int] = [:]
    private var lastNumber = 0

    var isEmpty: Bool { subscribers.isEmpty }

    var streams: [Stream] { subscribers.values.map(\.stream) }

    /// Adds a subscriber.
    /// - Returns: Its identifier.
    mutating func add(_ channel: String, _ stream: Stream) -> Int {
        lastNumber += 1
        subscribers[lastNumber] = Subscriber(channel: ExactString(channel), stream: stream)
        return lastNumber
    }

    mutating func remove(_ id: Int) { subscribers[id] = nil }

    mutating func removeAll() { self = Self() }

    /// Returns what has to be sent to listen to the channels that have subscribers, and to no others.
    mutating func change() -> (listen: [String], unlisten: [String], sent: Sent) {
        let wanted = Set(subscribers.values.map(\.channel))
        let unlisten = channels.keys.filter { !wanted.contains($0) }
        for channel in unlisten { channels[channel] = nil }
        let listen = wanted.filter { channels[$0] == nil }
        for channel in listen {
            lastNumber += 1
            channels[channel] = lastNumber
        }
        return (listen.map(\.text), unlisten.map(\.text), Sent(numbers: channels))
    }

    /// Called when the server has answered everything that was sent up to a change.
    /// - Returns: The subscribers that listen from now on. What was sent to them before is lost.
    mutating func confirmed(_ sent: Sent) -> [Stream] {
        var streams: [Stream] = []
        for (id, subscriber) in subscribers where !subscriber.isListening {
            guard let number = channels[subscriber.channel], sent.numbers[subscriber.channel] == number else {
                continue
            }
            subscribers[id]?.isListening = true
            streams.append(subscriber.stream)
        }
        return streams
    }

    /// Called when the connection has ended: nobody listens any longer.
    mutating func connectionLost() {
        channels = [:]
        for id in subscribers.keys { subscribers[id]?.isListening = false }
    }

    /// The subscribers to a channel.
    func streams(of channel: String) -> [Stream] {
        subscribers.values.filter { $0.channel.text.isExactly(channel) }.map(\.stream)
    }
}
