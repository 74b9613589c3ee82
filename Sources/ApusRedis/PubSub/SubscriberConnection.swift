import ApusCore
import NIOCore

/// The connection for the subscriptions at one server. It is opened again when it is lost; each subscriber then gets a gap
/// before the first message.
///
/// `@unchecked Sendable`: every stored property is accessed only on the event loop.
final class SubscriberConnection: RedisConnection.Owner, @unchecked Sendable {
    /// What is subscribed to.
    struct Topic: Hashable {
        let kind: PushMessage.Kind
        let name: ByteBuffer
    }

    private struct Entry {
        var subscribers: [Subscriber] = []
        /// Whether the server has confirmed the subscription on the current connection.
        var isConfirmed = false
        /// Whether messages have been lost since the last confirmation.
        var hasGap = false
        /// The subscribers that wait for the confirmation.
        var waiters: [(subscriber: Subscriber, promise: EventLoopPromise<Void>)] = []
    }

    private let core: ClientCore
    private let node: NodeID
    private let eventLoop: any EventLoop
    private var topics: [Topic: Entry] = [:]
    /// How many subscriptions to a topic the server has not answered yet. A topic that is left and subscribed to again at
    /// once is confirmed twice, and only the last confirmation counts.
    private var unanswered: [Topic: Int] = [:]
    private var connection: RedisConnection?
    private var isOpening = false
    private var delay: ReconnectDelay
    private var retry: Scheduled<Void>?
    private var isClosed = false

    init(_ core: ClientCore, _ node: NodeID) {
        self.core = core
        self.node = node
        eventLoop = core.defaultLoop
        delay = ReconnectDelay(core.configuration.reconnect)
    }

    private var name: String {
        switch node {
        case .primary: "\(core.primaryName) (subscriptions)"
        case .member(let endpoint): "\(endpoint) (subscriptions)"
        }
    }

    // MARK: Subscribing

    /// Adds a subscriber, and waits until the server has confirmed the subscription.
    /// - Throws: An `AppError`, after which the subscriber has been removed.
    func add(_ subscriber: Subscriber, to topic: Topic, deadline: NIODeadline?) async throws {
        let confirmed = eventLoop.makePromise(of: Void.self)
        // A task without a deadline waits no longer than it would for a reply.
        let limit = NIODeadline.now() + TimeAmount(core.configuration.responseTimeout)
        let deadline = min(deadline ?? limit, limit)
        eventLoop.execute { self.add(subscriber, topic, confirmed, deadline) }
        do {
            try await withTaskCancellationHandler {
                try await confirmed.futureResult.get()
            } onCancel: {
                confirmed.fail(CancellationError())
            }
        } catch {
            remove(subscriber)
            throw error
        }
    }

    private func add(
        _ subscriber: Subscriber, _ topic: Topic, _ confirmed: EventLoopPromise<Void>, _ deadline: NIODeadline
    ) {
        guard !isClosed else { return confirmed.fail(ConnectionFailure.clientClosed.errorBeforeSending) }
        topics[topic, default: Entry()].subscribers.append(subscriber)
        if topics[topic]?.isConfirmed == true { return confirmed.succeed() }
        topics[topic]?.waiters.append((subscriber, confirmed))
        let timer = eventLoop.scheduleTask(deadline: deadline) { confirmed.fail(Deadline.exceeded) }
        confirmed.futureResult.whenComplete { _ in timer.cancel() }
        if let connection {
            if topics[topic]?.subscribers.count == 1 { subscribe(to: [topic], on: connection) }
        } else if retry != nil, core.configuration.whileAway == .failFast {
            confirmed.fail(ConnectionFailure.lost(nil).errorBeforeSending)
        } else {
            open()
        }
    }

    func remove(_ subscriber: Subscriber) {
        eventLoop.execute {
            for (topic, entry) in self.topics {
                guard let index = entry.subscribers.firstIndex(where: { $0 === subscriber }) else { continue }
                self.topics[topic]?.subscribers.remove(at: index)
                guard entry.subscribers.count == 1 else { continue }
                self.topics[topic] = nil
                for waiter in entry.waiters { waiter.promise.fail(CancellationError()) }
                if let connection = self.connection { self.unsubscribe(from: topic, on: connection) }
            }
        }
    }

    private func subscribe(to topics: [Topic], on connection: RedisConnection) {
        guard let kind = topics.first?.kind else { return }
        let names: [PushMessage.Kind: StaticString] = [
            .channel: "SUBSCRIBE", .pattern: "PSUBSCRIBE", .shard: "SSUBSCRIBE",
        ]
        guard let name = names[kind] else { return }
        var command = RedisCommand(name)
        for topic in topics {
            command.append(topic.name)
            unanswered[topic, default: 0] += 1
        }
        let content = RedisRequest.Content.subscription(command, kind, isSubscribing: true, topics.count)
        submit(content, on: connection).whenSuccess { reply in
            if case .error(let error) = reply { self.refused(topics, on: connection, error) }
        }
    }

    /// Writes a change of subscriptions. Changes of one channel must be written in their order, so they do not run in tasks.
    private func submit(
        _ content: RedisRequest.Content, on connection: RedisConnection
    ) -> EventLoopFuture<RedisValue> {
        let replied = eventLoop.makePromise(of: RedisValue.self)
        connection.submit(RedisRequest(content, replied))
        return replied.futureResult
    }

    private func unsubscribe(from topic: Topic, on connection: RedisConnection) {
        let name: StaticString =
            switch topic.kind {
            case .channel: "UNSUBSCRIBE"
            case .pattern: "PUNSUBSCRIBE"
            case .shard: "SUNSUBSCRIBE"
            }
        var command = RedisCommand(name)
        command.append(topic.name)
        _ = submit(.subscription(command, topic.kind, isSubscribing: false, 1), on: connection)
    }

    /// Notes that the server has answered a subscription.
    /// - Returns: Whether it was the last one.
    private func isLastAnswer(_ topic: Topic) -> Bool {
        let missing = (unanswered[topic] ?? 1) - 1
        unanswered[topic] = missing > 0 ? missing : nil
        return missing <= 0
    }

    /// The server does not permit a subscription, or does not have the slot of a sharded channel any more.
    private func refused(_ topics: [Topic], on connection: RedisConnection, _ error: RedisError) {
        for topic in topics where isLastAnswer(topic) {
            guard let entry = self.topics[topic], !entry.isConfirmed else { continue }
            if topics.count > 1 {
                // One of them was refused, which does not concern the others.
                subscribe(to: [topic], on: connection)
            } else {
                end(topic, error)
            }
        }
        if case .moved = error.request { core.cluster?.refreshSoon(core) }
    }

    /// Ends the subscriptions to a topic. What subscribers may miss is a gap.
    private func end(_ topic: Topic, _ error: any Error) {
        guard let entry = topics.removeValue(forKey: topic) else { return }
        for waiter in entry.waiters { waiter.promise.fail(error) }
        // Those who still wait have missed nothing, and may subscribe elsewhere.
        for subscriber in entry.subscribers where !entry.waiters.contains(where: { $0.subscriber === subscriber }) {
            subscriber.gap()
            subscriber.end()
        }
    }

    // MARK: Connecting

    private func open() {
        guard !isClosed, !isOpening, connection == nil, retry == nil, !topics.isEmpty else { return }
        isOpening = true
        core.endpoint(of: node, on: eventLoop)
            .flatMap { endpoint in
                RedisConnection.open(
                    on: self.eventLoop, to: endpoint, for: .subscriber, self.core.settings, owner: self)
            }
            .whenComplete { self.opened($0) }
    }

    private func opened(_ result: Result<RedisConnection, any Error>) {
        isOpening = false
        switch result {
        case .success(let connection):
            guard !isClosed else { return connection.end(.clientClosed) }
            guard connection.isReady else { return reconnect() }
            self.connection = connection
            unanswered = [:]
            core.outages.recovered(name)
            let byKind = Dictionary(grouping: topics.keys, by: \.kind)
            for (kind, topics) in byKind {
                // The channels of one SSUBSCRIBE must be in one slot, so each has its own.
                if kind == .shard {
                    for topic in topics { subscribe(to: [topic], on: connection) }
                } else {
                    subscribe(to: topics, on: connection)
                }
            }
        case .failure(let error):
            delay.failed()
            lost(error as? ConnectionFailure ?? .unreachable(error))
        }
    }

    private func lost(_ failure: ConnectionFailure) {
        guard !isClosed else { return }
        core.outages.failed(name, failure)
        core.cluster?.refreshSoon(core)
        for (topic, entry) in topics {
            // Those who have been subscribed have missed messages; those who still wait have not.
            if entry.isConfirmed { topics[topic]?.hasGap = true }
            topics[topic]?.isConfirmed = false
            guard core.configuration.whileAway == .failFast else { continue }
            topics[topic]?.waiters = []
            for waiter in entry.waiters { waiter.promise.fail(failure.errorBeforeSending) }
        }
        reconnect()
    }

    private func reconnect() {
        guard !isClosed, retry == nil else { return }
        retry = eventLoop.scheduleTask(in: delay.next) {
            self.retry = nil
            self.endMovedShards()
            self.open()
        }
    }

    /// Ends the subscriptions to sharded channels whose slots another server has taken over, while this one was away.
    private func endMovedShards() {
        guard let cluster = core.cluster, case .member(let endpoint) = node else { return }
        for topic in topics.keys where topic.kind == .shard {
            let slot = topic.name.withUnsafeReadableBytes { HashSlot.of($0) }
            guard let owner = cluster.endpoint(of: slot), owner != endpoint else { continue }
            end(topic, ConnectionFailure.lost(nil).errorBeforeSending)
        }
    }

    // MARK: Connection events

    func connection(_ connection: RedisConnection, received message: PushMessage) {
        switch message {
        case .message(let kind, let subscription, let channel, let content):
            guard let entry = topics[Topic(kind: kind, name: subscription)] else { return }
            for subscriber in entry.subscribers { subscriber.message(channel, content) }
        case .subscribed(let kind, let name): confirmed(Topic(kind: kind, name: name))
        case .unsubscribed(.shard, let name): slotMoved(Topic(kind: .shard, name: name))
        case .unsubscribed: break
        }
    }

    private func confirmed(_ topic: Topic) {
        guard isLastAnswer(topic), let entry = topics[topic] else { return }
        topics[topic]?.isConfirmed = true
        topics[topic]?.hasGap = false
        topics[topic]?.waiters = []
        if entry.hasGap { for subscriber in entry.subscribers { subscriber.gap() } }
        for waiter in entry.waiters { waiter.promise.succeed() }
    }

    /// The slot of a sharded channel has moved to another server. Its subscribers subscribe there.
    private func slotMoved(_ topic: Topic) {
        // Before the confirmation, the message answers an UNSUBSCRIBE of this client.
        guard topics[topic]?.isConfirmed == true else { return }
        core.cluster?.refreshSoon(core)
        end(topic, ConnectionFailure.lost(nil).errorBeforeSending)
    }

    func connectionRefused(_ connection: RedisConnection) {}

    func connectionEnded(_ connection: RedisConnection, _ failure: ConnectionFailure) {
        guard self.connection === connection else { return }
        self.connection = nil
        delay.ended(readyAt: connection.readyAt)
        lost(failure)
    }

    // MARK: Closing

    func close() {
        eventLoop.execute {
            guard !self.isClosed else { return }
            self.isClosed = true
            self.retry?.cancel()
            self.connection?.end(.clientClosed)
            self.connection = nil
            for entry in self.topics.values {
                for waiter in entry.waiters { waiter.promise.fail(ConnectionFailure.clientClosed.errorBeforeSending) }
                for subscriber in entry.subscribers { subscriber.end() }
            }
            self.topics = [:]
        }
    }
}
