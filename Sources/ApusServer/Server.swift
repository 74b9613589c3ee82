import ApusCore
public import ApusHTTP
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle

/// Serves HTTP/1.1 and HTTP/2, with and without TLS, on TCP ports and Unix sockets.
///
/// ```swift
/// let router = try Router(routes)
/// try await Server(.init(port: 8080), logger: logger) { try await router.respond(to: $0) }.run()
/// ```
///
/// As a `Service`, it shuts down in order: it keeps accepting connections for ``Configuration/shutdownGrace``, so that
/// load balancers can redirect traffic. Then it closes the listeners, asks upgraded connections to disconnect, waits
/// for the requests in flight, and closes the remaining connections after ``Configuration/shutdownLimit``.
public final class Server: Service {
    /// The listeners and limits of a server.
    public struct Configuration: Sendable {
        /// The listeners. At least one.
        public var listeners: [Listener]
        /// The number of event loops. The number of cores by default.
        public var threads: Int
        /// The limits on what clients may use.
        public var limits = ServerLimits()
        /// How long to keep accepting connections after shutdown has begun. Zero by default.
        public var shutdownGrace = Duration.zero
        /// How long requests in flight may take to finish after the listeners have closed. 20 seconds by default.
        public var shutdownLimit = Duration.seconds(20)
        /// How many upgraded connections are asked to disconnect at a time. Batches are 100 ms apart. 500 by default.
        public var shutdownBatch = 500

        /// Creates a configuration.
        public init(listeners: [Listener], threads: Int? = nil) {
            self.listeners = listeners
            self.threads = threads ?? System.coreCount
        }

        /// Creates a configuration with one TCP listener without TLS. If `port` is 0, the system chooses one.
        public init(host: String = "127.0.0.1", port: Int = 8080, threads: Int? = nil) {
            self.init(listeners: [Listener(.tcp(host: host, port: port))], threads: threads)
        }
    }

    private let configuration: Configuration
    private let core: ServerCore
    /// The event loops, if they end later than the server.
    private let eventLoops: ServerEventLoops?
    private let onListening: @Sendable ([Listener.Address]) -> Void
    private let onStopping: @Sendable () -> Void

    /// Creates a server.
    /// - Parameters:
    ///   - onListening: Called when the server accepts connections, with the addresses of the listeners in their order
    ///     and with their actual ports.
    ///   - onStopping: Called first when the server begins to shut down. Use it to fail the readiness check.
    ///   - handler: Responds to every request. Errors that it throws are rendered as problem documents.
    public convenience init(
        _ configuration: Configuration,
        logger: Logger,
        onListening: @escaping @Sendable ([Listener.Address]) -> Void = { _ in },
        onStopping: @escaping @Sendable () -> Void = {},
        handler: @escaping Handler
    ) {
        self.init(
            configuration, on: nil, logger: logger, onListening: onListening, onStopping: onStopping, handler: handler)
    }

    /// Creates a server on event loops whose owner ends them.
    package init(
        _ configuration: Configuration,
        on eventLoops: ServerEventLoops?,
        logger: Logger,
        onListening: @escaping @Sendable ([Listener.Address]) -> Void,
        onStopping: @escaping @Sendable () -> Void,
        handler: @escaping Handler
    ) {
        self.configuration = configuration
        self.eventLoops = eventLoops
        self.onListening = onListening
        self.onStopping = onStopping
        core = ServerCore(limits: configuration.limits, logger: logger, handler: handler)
    }

    /// Serves requests until the task is cancelled or graceful shutdown is triggered.
    /// - Throws: An `AppError` with code `unavailable` if an address cannot be bound, or `failedPrecondition` if a
    ///   certificate or key cannot be used.
    public func run() async throws {
        if let eventLoops { return try await run(on: eventLoops) }
        let eventLoops = ServerEventLoops()
        do {
            try await run(on: eventLoops)
        } catch {
            await eventLoops.shutDown()
            throw error
        }
        await eventLoops.shutDown()
    }

    private func run(on eventLoops: ServerEventLoops) async throws {
        let group = eventLoops.start(threads: configuration.threads)
        let loops = group.makeIterator().map { LoopState($0, core: core) }
        let listeners = try await listen(group, loops)
        for loop in loops { loop.eventLoop.execute { loop.startTicking() } }
        for listener in listeners {
            core.logger.info(
                "listening",
                metadata: ["address": "\(listener.address)", "encrypted": "\(listener.tls != nil)"])
        }
        onListening(listeners.map(\.address))
        await withTaskGroup { watchers in
            for tls in listeners.compactMap(\.tls) {
                watchers.addTask { [logger = core.logger] in await tls.watch(logger) }
            }
            try? await gracefulShutdown()
            watchers.cancelAll()
        }
        await stop(listeners, loops)
        for loop in loops { loop.executor.shutDown() }
    }

    /// Binds all listeners, or none if one of them fails.
    private func listen(_ group: any EventLoopGroup, _ loops: [LoopState]) async throws -> [BoundListener] {
        var bound: [BoundListener] = []
        do {
            for listener in configuration.listeners {
                bound.append(try await BoundListener(listener, core, group, loops))
            }
            return bound
        } catch {
            for listener in bound { await listener.close() }
            throw error
        }
    }

    private func stop(_ listeners: [BoundListener], _ loops: [LoopState]) async {
        let logger = core.logger
        onStopping()
        logger.info("stopping: no longer ready", metadata: ["grace_s": "\(configuration.shutdownGrace.seconds)"])
        // If the task is cancelled, this wait and the ones below return immediately.
        try? await Task.sleep(for: configuration.shutdownGrace)
        for listener in listeners { await listener.close() }
        logger.info("stopping: listeners closed")
        core.startDraining()
        await onEach(loops) { for connection in $0.allConnections { connection.drain() } }
        await drainUpgraded(loops)
        await waitForConnections(loops)
        await onEach(loops) { loop in
            loop.stopTicking()
            // Until a channel is closed, its event loop uses what handlers then use on the executor's own queue.
            for connection in loop.allConnections { connection.closeChannel() }
            loop.endWorkers()
        }
        // Work that closing a channel has deferred must run before the executors leave the loops.
        await onEach(loops) { loop in
            assert(loop.allConnections.allSatisfy { $0.channelContext?.channel.isActive != true })
        }
        logger.info("stopping: connections closed")
    }

    /// Drains upgraded connections in batches, so that their clients do not all reconnect at the same moment.
    private func drainUpgraded(_ loops: [LoopState]) async {
        let batch = configuration.shutdownBatch
        var drained = 0
        var isFull = false
        for loop in loops {
            let connections = (try? await loop.eventLoop.submit { loop.allConnections }.get()) ?? []
            var start = 0
            while start < connections.count {
                if isFull { try? await Task.sleep(for: .milliseconds(100)) }
                // A connection may have several upgraded streams or none: take connections until the batch is full.
                let from = start
                let (next, count) =
                    (try? await loop.eventLoop.submit {
                        var index = from
                        var count = 0
                        while index < connections.count, count < batch {
                            count += connections[index].drainUpgraded()
                            index += 1
                        }
                        return (index, count)
                    }.get()) ?? (connections.count, 0)
                start = next
                drained += count
                isFull = count >= batch
            }
        }
        if drained > 0 {
            core.logger.info(
                "stopping: upgraded connections asked to disconnect", metadata: ["count": "\(drained)"])
        }
    }

    private func waitForConnections(_ loops: [LoopState]) async {
        let end = ContinuousClock.now + configuration.shutdownLimit
        while core.openConnections > 0, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(20))
        }
        guard core.openConnections > 0 else { return }
        core.logger.warning(
            "stopping: time limit reached, closing connections", metadata: ["count": "\(core.openConnections)"])
    }

    private func onEach(_ loops: [LoopState], _ work: @escaping @Sendable (LoopState) -> Void) async {
        for loop in loops { try? await loop.eventLoop.submit { work(loop) }.get() }
    }
}
