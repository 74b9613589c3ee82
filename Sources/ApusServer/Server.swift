import ApusCore
public import ApusHTTP
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Serves HTTP/1.1 on a TCP port.
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
        /// The address to bind.
        public var host: String
        /// The port to bind; 0 lets the system choose.
        public var port: Int
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

        public init(host: String = "127.0.0.1", port: Int = 8080, threads: Int? = nil) {
            self.host = host
            self.port = port
            self.threads = threads ?? System.coreCount
        }
    }

    private let configuration: Configuration
    private let core: ServerCore
    private let onListening: @Sendable (Int) -> Void
    private let onStopping: @Sendable () -> Void

    /// - Parameters:
    ///   - onListening: Called with the port once connections are accepted.
    ///   - onStopping: Called first when the server is asked to stop; the place to fail readiness.
    ///   - handler: Answers every request. Errors that it throws are rendered as problem documents.
    public init(
        _ configuration: Configuration,
        logger: Logger,
        onListening: @escaping @Sendable (Int) -> Void = { _ in },
        onStopping: @escaping @Sendable () -> Void = {},
        handler: @escaping Handler
    ) {
        self.configuration = configuration
        self.onListening = onListening
        self.onStopping = onStopping
        core = ServerCore(limits: configuration.limits, logger: logger, handler: handler)
    }

    /// Listens until the task is cancelled or a graceful shutdown is asked for.
    /// - Throws: An `AppError` of code `unavailable` when the address cannot be listened on.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        let loops = group.makeIterator().map { LoopState($0, requestDeadline: core.limits.requestDeadline) }
        do {
            let listener = try await bind(group, loops)
            for loop in loops { loop.eventLoop.execute { loop.startTicking() } }
            let port = listener.localAddress?.port ?? configuration.port
            core.logger.info("listening", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
            onListening(port)
            try? await gracefulShutdown()
            await stop(listener, loops)
            for loop in loops { loop.executor.shutDown() }
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private func bind(_ group: MultiThreadedEventLoopGroup, _ loops: [LoopState]) async throws -> any Channel {
        let core = core
        let states = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // By default four connections are accepted a turn of the loop, which is too slow for a burst.
            .serverChannelOption(.maxMessagesPerRead, value: 256)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = states[ObjectIdentifier(channel.eventLoop)] else { return }
                    guard core.connectionOpened() else {
                        core.connectionClosed()
                        throw AppError(.unavailable, "The server has as many connections as it may.")
                    }
                    let handler = HTTP1Connection(
                        core: core, loop: loop, remoteAddress: channel.remoteAddress?.ipAddress)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let address = "\(configuration.host):\(configuration.port)"
        do {
            return try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw AppError(.unavailable, "\(address) is in use by another process.", cause: error)
        } catch {
            throw AppError(.unavailable, "\(address) cannot be listened on: \(error)", cause: error)
        }
    }

    private func stop(_ listener: any Channel, _ loops: [LoopState]) async {
        let logger = core.logger
        onStopping()
        logger.info("stopping: not ready any more", metadata: ["grace_s": "\(configuration.shutdownGrace.seconds)"])
        // Cancelled means at once: the waits below then return immediately.
        try? await Task.sleep(for: configuration.shutdownGrace)
        try? await listener.close()
        logger.info("stopping: listener closed")
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
