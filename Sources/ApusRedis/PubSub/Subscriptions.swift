import ApusCore
import NIOCore
import Synchronization

/// The subscriptions of a client: one connection to each server that has any.
final class Subscriptions: Sendable {
    private struct State {
        var nodes: [NodeID: SubscriberConnection] = [:]
        var isClosed = false
    }

    private let core: ClientCore
    private let state = Mutex(State())

    init(_ core: ClientCore) { self.core = core }

    /// Subscribes, and waits until the server has confirmed it.
    func add(_ subscriber: Subscriber, _ name: String, _ kind: PushMessage.Kind) async throws {
        let topic = SubscriberConnection.Topic(kind: kind, name: ByteBuffer(string: name))
        // Messages to channels are sent to all servers of a cluster; those to sharded channels, to one.
        guard kind == .shard, core.cluster != nil else { return try await add(subscriber, topic, at: .primary) }
        var command = RedisCommand("SSUBSCRIBE")
        command.append(key: name)
        let node = try await core.node(for: command)
        do {
            try await add(subscriber, topic, at: node)
        } catch let error as RedisError {
            _ = try await core.follow(error, at: node, deadline: Deadline.currentOnEventLoop) { target in
                // A server subscribes to channels of a slot for as long as it has the slot, so none answers ASK.
                guard case .again(let known, _) = target else { throw error }
                let node = if let known { known } else { try await core.node(for: command) }
                do {
                    try await add(subscriber, topic, at: node)
                    return .null
                } catch let error as RedisError {
                    return .error(error)
                }
            }
        }
    }

    private func add(_ subscriber: Subscriber, _ topic: SubscriberConnection.Topic, at node: NodeID) async throws {
        let connection = try state.withLock { state in
            if state.isClosed { throw ConnectionFailure.clientClosed.errorBeforeSending }
            if let connection = state.nodes[node] { return connection }
            let connection = SubscriberConnection(core, node)
            state.nodes[node] = connection
            return connection
        }
        try await connection.add(subscriber, to: topic, deadline: Deadline.currentOnEventLoop)
    }

    func remove(_ subscriber: Subscriber) {
        for connection in state.withLock({ Array($0.nodes.values) }) { connection.remove(subscriber) }
    }

    func close() {
        let connections = state.withLock { state in
            state.isClosed = true
            defer { state.nodes = [:] }
            return Array(state.nodes.values)
        }
        for connection in connections { connection.close() }
    }
}

/// Receives the messages of a subscription. Its methods are called in order, on one event loop.
final class Subscriber: Sendable {
    let message: @Sendable (_ channel: ByteBuffer, _ content: ByteBuffer) -> Void
    let gap: @Sendable () -> Void
    let end: @Sendable () -> Void

    init(
        message: @escaping @Sendable (_ channel: ByteBuffer, _ content: ByteBuffer) -> Void,
        gap: @escaping @Sendable () -> Void, end: @escaping @Sendable () -> Void
    ) {
        self.message = message
        self.gap = gap
        self.end = end
    }
}
