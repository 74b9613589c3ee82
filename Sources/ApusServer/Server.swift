import ApusCore
public import ApusHTTP
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle

/// Serves HTTP/1.1 and HTTP/2, with and without TLS, on TCP ports and unix sockets.
///
/// ```swift
/// let router = try Router(routes)
/// try await Server(.init(port: 8080), logger: logger) { try await router.respond(to: $0) }.run()
/// ```
///
/// As a `Service` it stops in order: it keeps listening for ``Configuration/shutdownGrace`` so that load balancers can
/// look elsewhere, then closes the listener, tells upgraded connections to come back elsewhere, waits for the requests in
/// flight, and closes what is left after ``Configuration/shutdownLimit``.
public final class Server: Service {
    /// Where and how to listen.
    public struct Configuration: Sendable {
        /// Where to listen. At least one.
        public var listeners: [Listener]
        /// The number of event loops; the number of cores by default.
        public var threads: Int
        /// What clients may take.
        public var limits = ServerLimits()
        /// How long to keep accepting after the stop began. None by default.
        public var shutdownGrace = Duration.zero
        /// How long requests in flight may take to end once the listener is closed. 20 seconds.
        public var shutdownLimit = Duration.seconds(20)
        /// How many upgraded connections are told to leave at a time, each batch 100 ms after the one before. 500.
        public var shutdownBatch = 500

        public init(listeners: [Listener], threads: Int? = nil) {
            self.listeners = listeners
            self.threads = threads ?? System.coreCount
        }

        /// One TCP port without encryption; 0 lets the system choose.
        public init(host: String = "127.0.0.1", port: Int = 8080, threads: Int? = nil) {
            self.init(listeners: [Listener(.tcp(host: host, port: port))], threads: threads)
        }
    }

    private let configuration: Configuration
    private let core: ServerCore
    private let onListening: @Sendable ([Listener.Address]) -> Void
    private let onStopping: @Sendable () -> Void

    /// - Parameters:
    ///   - onListening: Called once connections are accepted, with where: the listeners in their order, and their real ports.
    ///   - onStopping: Called first when the server is asked to stop; the place to fail readiness.
    ///   - handler: Answers every request. Errors that it throws are rendered as problem documents.
    public init(
        _ configuration: Configuration,
        logger: Logger,
        onListening: @escaping @Sendable ([Listener.Address]) -> Void = { _ in },
        onStopping: @escaping @Sendable () -> Void = {},
        handler: @escaping Handler
    ) {
        self.configuration = configuration
        self.onListening = onListening
        self.onStopping = onStopping
        core = ServerCore(limits: configuration.limits, logger: logger, handler: handler)
    }

    /// Listens until the task is cancelled or a graceful shutdown is asked for.
    /// - Throws: An `AppError` of code `unavailable` when an address cannot be listened on, `failedPrecondition` when a
    ///   certificate or key cannot be used.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        let loops = group.makeIterator().map { LoopState($0, core: core) }
        do {
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
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    /// All listeners or none.
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
        logger.info("stopping: not ready any more", metadata: ["grace_s": "\(configuration.shutdownGrace.seconds)"])
        // Cancelled means at once: the waits below then return immediately.
        try? await Task.sleep(for: configuration.shutdownGrace)
        for listener in listeners { await listener.close() }
        logger.info("stopping: listeners closed")
        core.startDraining()
        await onEach(loops) { for connection in $0.all { connection.drain() } }
        await drainUpgraded(loops)
        await waitForConnections(loops)
        await onEach(loops) { loop in
            loop.stopTicking()
            for connection in loop.all { connection.abort() }
            loop.endWorkers()
        }
        // Once more round each loop: what the closing of a channel leaves for later is done before the executors move on.
        await onEach(loops) { _ in }
        logger.info("stopping: connections closed")
    }

    /// Batches, so that not all clients reconnect at the same moment.
    private func drainUpgraded(_ loops: [LoopState]) async {
        let batch = configuration.shutdownBatch
        var told = 0
        var isFull = false
        for loop in loops {
            let connections = (try? await loop.eventLoop.submit { loop.all }.get()) ?? []
            var start = 0
            while start < connections.count {
                if isFull { try? await Task.sleep(for: .milliseconds(100)) }
                // As many connections as it takes to tell a batch.
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
                told += count
                isFull = count >= batch
            }
        }
        if told > 0 { core.logger.info("stopping: upgraded connections told to leave", metadata: ["count": "\(told)"]) }
    }

    private func waitForConnections(_ loops: [LoopState]) async {
        let end = ContinuousClock.now + configuration.shutdownLimit
        while core.openConnections > 0, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(20))
        }
        guard core.openConnections > 0 else { return }
        core.logger.warning("stopping: connections cut off", metadata: ["count": "\(core.openConnections)"])
    }

    private func onEach(_ loops: [LoopState], _ work: @escaping @Sendable (LoopState) -> Void) async {
        for loop in loops { try? await loop.eventLoop.submit { work(loop) }.get() }
    }
}
