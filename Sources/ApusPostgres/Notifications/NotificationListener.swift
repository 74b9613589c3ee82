import ApusCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Listens for notifications on a connection of its own, which is opened again when it is lost.
final class NotificationListener: Sendable {
    private struct State {
        var subscriptions = Subscriptions<AsyncStream<PostgresEvent>.Continuation>()
        var connection: PostgresConnection?
        /// Whether the server has confirmed that it listens on the connection.
        var hasListened = false
        var task: Task<Void, Never>?
        var isClosed = false
    }

    private let connector: PostgresConnector
    private let log: Logger
    private let loop = MultiThreadedEventLoopGroup.singleton.any()
    private let statements = LoopStatements()
    private let state = Mutex(State())

    /// How many events a subscriber may be behind. Then it misses some, and is told.
    private static let maximumBacklog = 1024
    /// The maximum length of a channel's name, in bytes. The server would cut it.
    private static let maximumNameLength = 63
    /// How often the connection is checked: a connection of which only one side knows that it has ended receives
    /// nothing.
    private static let pingInterval = TimeAmount.seconds(15)
    /// How long a check may take. After that, all subscribers would have to read everything again.
    private static let pingTimeout = TimeAmount.seconds(10)
    private static let backoff = RetryPolicy(maximumAttempts: .max, maximumDelay: .seconds(10))

    init(_ configuration: PostgresConfiguration, log: Logger) throws {
        connector = try PostgresConnector(configuration.direct, log: log)
        self.log = log
    }

    // MARK: Subscribing

    func subscribe(_ channel: String) -> AsyncStream<PostgresEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PostgresEvent.self, bufferingPolicy: .bufferingNewest(Self.maximumBacklog))
        guard (1...Self.maximumNameLength).contains(channel.utf8.count), !channel.utf8.contains(0) else {
            // One LISTEN that the server rejects would end the connection for the subscribers of all channels.
            log.error("a channel of notifications has no valid name", metadata: ["channel": "\(channel)"])
            continuation.finish()
            return stream
        }
        let (id, connection) = state.withLock { state -> (Int?, PostgresConnection?) in
            guard !state.isClosed else { return (nil, nil) }
            let id = state.subscriptions.add(channel, continuation)
            if state.task == nil { state.task = Task.detached { await self.run() } }
            return (id, state.connection)
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { _ in self.unsubscribe(id) }
        if let connection { connection.loop.execute { self.listen(on: connection) } }
        return stream
    }

    private func unsubscribe(_ id: Int) {
        let connection = state.withLock { state in
            state.subscriptions.remove(id)
            return state.connection
        }
        if let connection { connection.loop.execute { self.listen(on: connection) } }
    }

    func close() {
        let (streams, connection, task) = state.withLock { state in
            let streams = state.subscriptions.streams
            defer { (state.connection, state.task) = (nil, nil) }
            state.subscriptions.removeAll()
            state.isClosed = true
            return (streams, state.connection, state.task)
        }
        task?.cancel()
        for stream in streams { stream.finish() }
        if let connection { connection.loop.execute { connection.close() } }
    }

    // MARK: Listening

    /// Keeps a connection until there are no subscribers.
    private func run() async {
        var attempt = 0
        while !Task.isCancelled {
            do {
                let connection = try await connector.connect(on: loop, statements)
                if await connection.onLoop({ $0.isPooled }) {
                    log.error(
                        "notifications do not arrive through a connection pooler; name the server by direct_host in the URL"
                    )
                }
                let closed = await connection.onLoop { connection -> EventLoopFuture<Void>? in
                    self.begin(connection)
                    return connection.channelContext?.channel.closeFuture
                }
                try await closed?.get()
            } catch {
                log.warning("cannot listen for notifications", metadata: ["error": "\(String(reflecting: error))"])
            }
            let (isDone, hasListened) = state.withLock { state in
                defer { (state.connection, state.hasListened) = (nil, false) }
                state.subscriptions.connectionLost()
                if state.subscriptions.isEmpty { state.task = nil }
                return (state.subscriptions.isEmpty, state.hasListened)
            }
            if isDone { return }
            // A server that can be reached, but does not listen, such as a standby, is not tried again and again at once.
            attempt = hasListened ? 1 : attempt + 1
            try? await Task.sleep(for: Self.backoff.delay(after: min(attempt, 30)))
        }
    }

    /// Called on the event loop with a new connection.
    private func begin(_ connection: PostgresConnection) {
        let isClosed = state.withLock { state in
            state.connection = state.isClosed ? nil : connection
            return state.isClosed
        }
        guard !isClosed else { return connection.close() }
        connection.notified = { self.deliver($0) }
        let ticker = loop.scheduleRepeatedTask(initialDelay: Self.pingInterval, delay: Self.pingInterval) { _ in
            // Even while an answer is awaited: it may never come.
            connection.ping(timeout: Self.pingTimeout)
        }
        connection.channelContext?.channel.closeFuture.whenComplete { _ in ticker.cancel() }
        listen(on: connection)
    }

    /// Called on the event loop. Listens to the channels that have subscribers, and no longer to others.
    private func listen(on connection: PostgresConnection) {
        let (change, isUnused) = state.withLock { state in
            state.connection === connection
                ? (state.subscriptions.change(), state.subscriptions.isEmpty) : (nil, false)
        }
        guard let change else { return }
        if isUnused { return connection.close() }
        for channel in change.unlisten {
            connection.submit(PendingRequest(.simple("UNLISTEN \(Self.quoted(channel))")))
        }
        for channel in change.listen {
            let request = PendingRequest(.simple("LISTEN \(Self.quoted(channel))"))
            request.whenFinished { result in
                if case .failure = result { connection.close() }
            }
            connection.submit(request)
        }
        // Answered after the LISTENs above.
        let request = PendingRequest(.simple("SELECT 1"))
        request.whenFinished { result in
            if case .success = result { self.tellGap(connection, change.sent) }
        }
        connection.submit(request)
    }

    /// Tells the subscribers that have begun to listen that what was sent before is lost.
    private func tellGap(
        _ connection: PostgresConnection, _ sent: Subscriptions<AsyncStream<PostgresEvent>.Continuation>.Sent
    ) {
        let streams = state.withLock { state -> [AsyncStream<PostgresEvent>.Continuation] in
            guard state.connection === connection else { return [] }
            state.hasListened = true
            return state.subscriptions.confirmed(sent)
        }
        for stream in streams { stream.yield(.gap) }
    }

    /// Called on the event loop.
    private func deliver(_ notification: PostgresNotification) {
        for stream in state.withLock({ $0.subscriptions.streams(of: notification.channel) }) {
            let result = stream.yield(.notification(channel: notification.channel, payload: notification.payload))
            if case .dropped = result { stream.yield(.gap) }
        }
    }

    private static func quoted(_ name: String) -> String { "\"" + name.replacing(["\"": "\"\""]) + "\"" }
}
