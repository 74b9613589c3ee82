import ApusCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// What the parts of a client share: the configuration, the connections of each event loop, and how servers are found.
final class ClientCore: Sendable {
    private struct State {
        /// A list, because there are about as many as processors and one is looked up for each command.
        var loops: [LoopConnections] = []
        var isClosed = false
    }

    let configuration: RedisConfiguration
    let settings: ConnectionSettings
    let connectionsPerLoop: Int
    let logger: Logger
    let outages: OutageLog
    let cluster: ClusterMap?
    private let sentinel: SentinelResolver?
    /// The event loop for tasks that run on none, and for subscriptions.
    let defaultLoop: any EventLoop
    private let state = Mutex(State())

    init(_ configuration: RedisConfiguration, _ logger: Logger) throws {
        self.configuration = configuration
        settings = try ConnectionSettings(configuration)
        connectionsPerLoop = min(max(1, configuration.connectionsPerLoop), 16)
        self.logger = logger
        outages = OutageLog(logger)
        defaultLoop = MultiThreadedEventLoopGroup.singleton.next()
        switch configuration.topology {
        case .single:
            cluster = nil
            sentinel = nil
        case .sentinel(let endpoints, let primary):
            cluster = nil
            sentinel = SentinelResolver(endpoints, primary, settings.forSentinel(configuration))
        case .cluster(let endpoints):
            cluster = ClusterMap(endpoints)
            sentinel = nil
        }
    }

    /// The name of the primary, for logs.
    var primaryName: String {
        switch configuration.topology {
        case .single(let endpoint): endpoint.description
        case .sentinel(_, let primary): primary
        case .cluster: "cluster"
        }
    }

    // MARK: Event loops

    /// The connections of the current event loop, so that replies resume their tasks there; those of the default loop
    /// for tasks that run on none.
    var current: LoopConnections { connections(on: MultiThreadedEventLoopGroup.currentEventLoop ?? defaultLoop) }

    private func connections(on eventLoop: any EventLoop) -> LoopConnections {
        state.withLock { state in
            if let known = state.loops.first(where: { $0.eventLoop === eventLoop }) { return known }
            let connections = LoopConnections(eventLoop, self)
            if state.isClosed {
                eventLoop.execute { connections.close() }
            } else {
                state.loops.append(connections)
            }
            return connections
        }
    }

    /// Forgets an event loop that has ended.
    func forget(_ eventLoop: any EventLoop) {
        state.withLock { state in state.loops.removeAll { $0.eventLoop === eventLoop } }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Runs work with the connections of each event loop, on that loop.
    func onEachLoop(_ work: @escaping @Sendable (LoopConnections) -> Void) {
        for connections in state.withLock({ $0.loops }) {
            connections.eventLoop.execute { work(connections) }
        }
    }

    // MARK: Servers

    /// Finds the address of a server.
    func endpoint(of node: NodeID, on eventLoop: any EventLoop) -> EventLoopFuture<RedisEndpoint> {
        switch node {
        case .member(let endpoint): return eventLoop.makeSucceededFuture(endpoint)
        case .primary:
            switch configuration.topology {
            case .single(let endpoint): return eventLoop.makeSucceededFuture(endpoint)
            case .cluster(let endpoints):
                guard let endpoint = cluster?.anyEndpoint ?? endpoints.randomElement() else {
                    return eventLoop.makeFailedFuture(ConnectionFailure.unreachable(SentinelResolver.NoServers()))
                }
                return eventLoop.makeSucceededFuture(endpoint)
            case .sentinel:
                guard let sentinel else {
                    return eventLoop.makeFailedFuture(ConnectionFailure.unreachable(SentinelResolver.NoServers()))
                }
                return eventLoop.makeFutureWithTask { try await sentinel.primary(on: eventLoop) }
            }
        }
    }

    // MARK: Closing

    /// Closes all connections: those without missing replies at once, the others after their last reply, but at most
    /// after a limit.
    func close(within limit: Duration) async {
        let loops = state.withLock { state in
            state.isClosed = true
            defer { state.loops = [] }
            return state.loops
        }
        let deadline = ContinuousClock.now + limit
        let (ends, end) = AsyncStream<Void>.makeStream()
        for loop in loops {
            loop.eventLoop.execute {
                loop.close()
                Self.waitUntilEnded(loop, deadline, end)
            }
        }
        await withTaskGroup { group in
            group.addTask {
                var missing = loops.count
                var iterator = ends.makeAsyncIterator()
                while missing > 0, await iterator.next() != nil { missing -= 1 }
            }
            // An event loop that has ended itself says nothing.
            group.addTask { try? await Task.sleep(until: deadline + .milliseconds(100), clock: .continuous) }
            await group.next()
            group.cancelAll()
        }
    }

    private static func waitUntilEnded(
        _ loop: LoopConnections, _ deadline: ContinuousClock.Instant, _ end: AsyncStream<Void>.Continuation
    ) {
        let isLate = ContinuousClock.now >= deadline
        if isLate { loop.abort() }
        if loop.hasEnded || isLate {
            end.yield()
        } else {
            loop.eventLoop.scheduleTask(in: .milliseconds(5)) { waitUntilEnded(loop, deadline, end) }
        }
    }

    /// Closes all connections without waiting for replies.
    func abort() {
        let loops = state.withLock { state in
            state.isClosed = true
            defer { state.loops = [] }
            return state.loops
        }
        for loop in loops { loop.eventLoop.execute { loop.abort() } }
    }
}
