import ApusCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Listens for notifications on a connection of its own, which is opened again when it is lost.
final class NotificationListener: Sendable {
    private struct Subscriber {
        let channel: String
        let stream: AsyncStream<PostgresEvent>.Continuation
        /// Whether it was told that what was sent before it listened is lost.
        var isListening = false
    }

    private struct State {
        var subscribers: [Int: Subscriber] = [:]
        var nextID = 0
        var connection: PostgresConnection?
        /// The channels that are listened to on the connection.
        var channels: Set<ExactString> = []
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
    /// How often the connection is checked: a connection of which only one side knows that it has ended receives
    /// nothing.
    private static let pingInterval = TimeAmount.seconds(15)
    private static let backoff = RetryPolicy(maximumAttempts: .max, maximumDelay: .seconds(10))

    init(_ configuration: PostgresConfiguration, log: Logger) throws {
        connector = try PostgresConnector(configuration.direct, log: log)
        self.log = log
    }

    // MARK: Subscribing

    func subscribe(_ channel: String) -> AsyncStream<PostgresEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PostgresEvent.self, bufferingPolicy: .bufferingNewest(Self.maximumBacklog))
        let (id, connection) = state.withLock { state -> (Int?, PostgresConnection?) in
            guard !state.isClosed else { return (nil, nil) }
            state.nextID += 1
            state.subscribers[state.nextID] = Subscriber(channel: channel, stream: continuation)
            if state.task == nil { state.task = Task.detached { await self.run() } }
            return (state.nextID, state.connection)
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
            state.subscribers[id] = nil
            return state.connection
        }
        if let connection { connection.loop.execute { self.listen(on: connection) } }
    }

    func close() {
        let (subscribers, connection, task) = state.withLock { state in
            defer { (state.subscribers, state.connection, state.task) = ([:], nil, nil) }
            state.isClosed = true
            return (state.subscribers, state.connection, state.task)
        }
        task?.cancel()
        for subscriber in subscribers.values { subscriber.stream.finish() }
        if let connection { connection.loop.execute { connection.close() } }
    }

    // MARK: Listening

    /// Keeps a connection until there are no subscribers.
    private func run() async {
        var attempt = 0
        while !Task.isCancelled {
            do {
                let connection = try await connector.connect(on: loop, statements)
                attempt = 0
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
            let isDone = state.withLock { state in
                state.connection = nil
                state.channels = []
                for id in state.subscribers.keys { state.subscribers[id]?.isListening = false }
                if state.subscribers.isEmpty { state.task = nil }
                return state.subscribers.isEmpty
            }
            if isDone { return }
            attempt += 1
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
            connection.ping()
        }
        connection.channelContext?.channel.closeFuture.whenComplete { _ in ticker.cancel() }
        listen(on: connection)
    }

    /// Called on the event loop. Listens to the channels that have subscribers, and no longer to others.
    private func listen(on connection: PostgresConnection) {
        let (added, removed, isUnused) = state.withLock { state -> (Set<ExactString>, Set<ExactString>, Bool) in
            guard state.connection === connection else { return ([], [], false) }
            let wanted = Set(state.subscribers.values.map { ExactString($0.channel) })
            defer { state.channels = wanted }
            return (wanted.subtracting(state.channels), state.channels.subtracting(wanted), wanted.isEmpty)
        }
        if isUnused { return connection.close() }
        for channel in removed { connection.submit(PendingRequest(.simple("UNLISTEN \(Self.quoted(channel.text))"))) }
        for channel in added {
            let request = PendingRequest(.simple("LISTEN \(Self.quoted(channel.text))"))
            request.whenFinished { result in
                if case .failure = result { connection.close() }
            }
            connection.submit(request)
        }
        // Answered after the LISTENs above.
        let request = PendingRequest(.simple("SELECT 1"))
        request.whenFinished { result in
            if case .success = result { self.tellGap(connection) }
        }
        connection.submit(request)
    }

    /// Tells the subscribers that have begun to listen that what was sent before is lost.
    private func tellGap(_ connection: PostgresConnection) {
        let streams = state.withLock { state -> [AsyncStream<PostgresEvent>.Continuation] in
            guard state.connection === connection else { return [] }
            var streams: [AsyncStream<PostgresEvent>.Continuation] = []
            for (id, subscriber) in state.subscribers where !subscriber.isListening {
                guard state.channels.contains(ExactString(subscriber.channel)) else { continue }
                state.subscribers[id]?.isListening = true
                streams.append(subscriber.stream)
            }
            return streams
        }
        for stream in streams { stream.yield(.gap) }
    }

    /// Called on the event loop.
    private func deliver(_ notification: PostgresNotification) {
        for subscriber in subscribers(of: notification.channel) {
            let result = subscriber.stream.yield(
                .notification(channel: notification.channel, payload: notification.payload))
            if case .dropped = result { subscriber.stream.yield(.gap) }
        }
    }

    private func subscribers(of channel: String) -> [Subscriber] {
        state.withLock { state in state.subscribers.values.filter { $0.channel.isExactly(channel) } }
    }

    private static func quoted(_ name: String) -> String { "\"" + name.replacing(["\"": "\"\"", "\0": ""]) + "\"" }
}
