import ApusCore
import ApusData
import NIOCore
import Synchronization

/// Runs the single statements of one event loop on a few shared connections.
///
/// A statement goes to a connection that is idle; if there is none, behind the fewest others that were not answered.
/// The server works on it as soon as it has answered those, without waiting for the network, and one write and one read
/// carry several statements. Each has its own Sync, so an error does not affect the others.
///
/// `@unchecked Sendable`: every mutable property is accessed only on the event loop. Exclusivity checks are disabled
/// where every statement would pay for them: no access to such a property spans a call to other code.
final class LoopPool: PendingRequest.Target, PendingRequest.Owner, PostgresConnection.Delegate, @unchecked Sendable {
    let loop: any EventLoop
    let statements = LoopStatements()
    private let connector: PostgresConnector
    private let limit: Int
    /// The number of connections and of waiting statements, for other threads.
    let load = PoolLoad()
    @exclusivity(unchecked) private var connections: [PostgresConnection] = [] {
        didSet { load.connections.store(connections.count, ordering: .relaxed) }
    }
    @exclusivity(unchecked) private var connecting = 0
    @exclusivity(unchecked) private var backoff = ConnectBackoff()
    /// The next attempt to connect, if the last one has failed and statements wait.
    private var reconnect: Scheduled<Void>?
    @exclusivity(unchecked) private var waiting = CircularBuffer<PendingRequest>() {
        didSet { load.waiting.store(waiting.count, ordering: .relaxed) }
    }
    @exclusivity(unchecked) private var isClosed = false
    @exclusivity(unchecked) private var isOverflowScheduled = false
    private var closing: EventLoopPromise<Void>?
    private var ticker: RepeatedTask?

    /// The maximum number of statements on a connection that were not answered.
    private static let maximumDepth = 8
    /// How long statements wait for a shared connection before they may get one of their own.
    private static let overflowDelay = TimeAmount.milliseconds(50)
    private static let tickInterval = TimeAmount.seconds(5)

    /// A statement that is run on a connection of its own, because it is known to take long.
    struct RunsAlone: Error {}
    /// A task that was cancelled while it waited for a connection.
    struct WaitCancelled: Error {}

    init(loop: any EventLoop, connector: PostgresConnector) {
        self.loop = loop
        self.connector = connector
        limit = max(1, connector.configuration.sharedConnections ?? Self.defaultLimit)
    }

    private static var defaultLimit: Int {
        switch System.coreCount {
        case ...4: 4
        case ...16: 2
        default: 1
        }
    }

    /// Starts the checks of idle connections.
    /// - Parameter tick: Called with each.
    func start(tick: @escaping @Sendable () -> Void) {
        ticker = loop.scheduleRepeatedTask(initialDelay: Self.tickInterval, delay: Self.tickInterval) { _ in
            self.check(now: .now())
            tick()
        }
    }

    // MARK: Statements

    func submit(_ request: PendingRequest) {
        guard !isClosed else {
            return request.finish(.failure(AppError(.unavailable, "The database is closed.")))
        }
        do throws(AppError) {
            guard try !isSlow(request) else { return request.finish(.failure(RunsAlone())) }
        } catch {
            return request.finish(.failure(error))
        }
        if waiting.isEmpty, let connection = availableConnection() { return connection.submit(request) }
        request.owner = self
        waiting.append(request)
        scheduleOverflow()
    }

    /// Resolves the statements of a request.
    /// - Returns: Whether one of them is known to take long.
    private func isSlow(_ request: PendingRequest) throws(AppError) -> Bool {
        switch request.kind {
        case .statement(let sql, _):
            let statement = try statements.statement(sql.template)
            request.statement = statement
            return statement.speed == .slow
        case .group(let group):
            request.statements = try statements.statements(group)
            return request.statements.contains { $0.speed == .slow }
        case .simple, .commit, .copyIn, .copyOut: return false
        }
    }

    /// Makes statements that wait for too long run on connections of their own, if all shared ones are busy with slow
    /// statements.
    private func scheduleOverflow() {
        guard !isOverflowScheduled else { return }
        isOverflowScheduled = true
        loop.scheduleTask(in: Self.overflowDelay) {
            self.isOverflowScheduled = false
            guard !self.waiting.isEmpty else { return }
            guard self.isStuck else { return self.scheduleOverflow() }
            let overflowing = self.waiting
            self.waiting = []
            for request in overflowing { request.finish(.failure(RunsAlone())) }
            if self.isClosed { self.closeIfDone() }
        }
    }

    private var isStuck: Bool {
        let now = NIODeadline.now()
        return connecting == 0 && reconnect == nil
            && connections.allSatisfy { !$0.isUsable || now - $0.headSince > PostgresConnection.maximumHeadDuration }
    }

    /// Returns a connection that takes a statement. Opens one if none is idle.
    private func availableConnection() -> PostgresConnection? {
        var best: PostgresConnection?
        for connection in connections where connection.isUsable {
            if connection.isIdle { return connection }
            if connection.depth < best?.depth ?? .max { best = connection }
        }
        if connections.count + connecting < limit { connectIfAllowed() }
        guard let best else { return nil }
        let now = NIODeadline.now()
        if best.hasRoom(depth: Self.maximumDepth, now: now) { return best }
        return connections.first { $0.isUsable && $0.hasRoom(depth: Self.maximumDepth, now: now) }
    }

    private func sendWaiting() {
        while !waiting.isEmpty, let connection = availableConnection() { connection.submit(waiting.removeFirst()) }
        if isClosed { closeIfDone() }
    }

    func cancel(_ request: PendingRequest) {
        waiting.removeAll { $0 === request }
        request.finish(.failure(WaitCancelled()))
        if isClosed { closeIfDone() }
    }

    // MARK: Connections

    /// Opens a connection, later if the last attempt has failed.
    private func connectIfAllowed() {
        if backoff.allows(now: .now(), connecting: connecting) { return connect() }
        guard connections.isEmpty, connecting == 0, reconnect == nil else { return }
        reconnect = loop.scheduleTask(deadline: backoff.next) {
            self.reconnect = nil
            self.sendWaiting()
        }
    }

    /// Opens a connection. It goes on if the statement that needed it is cancelled.
    private func connect() {
        connecting += 1
        let (loop, connector, statements) = (loop, connector, statements)
        // Detached, so that it has neither the deadline nor the transaction of the task that needs it.
        Task.detached {
            do {
                let connection = try await connector.connect(on: loop, statements)
                loop.execute { self.connected(connection) }
            } catch {
                loop.execute {
                    self.backoff.failed(now: .now())
                    self.failedToConnect(error)
                }
            }
        }
    }

    private func connected(_ connection: PostgresConnection) {
        connecting -= 1
        backoff.succeeded()
        guard connection.transport == .open else { return sendWaiting() }
        connection.delegate = self
        connections.append(connection)
        sendWaiting()
    }

    private func failedToConnect(_ error: any Error) {
        connecting -= 1
        if connections.isEmpty, connecting == 0 {
            let failed = waiting
            waiting = []
            for request in failed { request.finish(.failure(error)) }
        }
        if isClosed { closeIfDone() }
    }

    func connectionAdvanced(_ connection: PostgresConnection) {
        if connection.isIdle, connection.machine.isCondemned || connection.machine.status != .idle {
            connection.close()
        } else if !waiting.isEmpty || isClosed {
            sendWaiting()
        }
    }

    func connectionClosed(_ connection: PostgresConnection) {
        connections.removeAll { $0 === connection }
        if !waiting.isEmpty || isClosed { sendWaiting() }
    }

    /// Closes connections that are too old and checks those that were not used for a while.
    private func check(now: NIODeadline) {
        for connection in connections {
            if connection.hasExpired(connector.configuration, now: now) {
                connection.machine.isCondemned = true
                connectionAdvanced(connection)
            } else if connection.isUsable, connection.isIdle, connection.needsCheck(connector.configuration, now: now) {
                connection.ping()
            }
        }
    }

    /// The number of connections, of those being opened, and of the statements that wait and that are not answered.
    var counts: (connections: Int, connecting: Int, waiting: Int, running: Int) {
        (connections.count, connecting, waiting.count, connections.reduce(0) { $0 + $1.depth })
    }

    // MARK: Closing

    /// Closes the connections after the statements that were submitted.
    func close(_ promise: EventLoopPromise<Void>) {
        isClosed = true
        ticker?.cancel()
        closing?.futureResult.cascade(to: promise)
        if closing == nil { closing = promise }
        closeIfDone()
    }

    private func closeIfDone() {
        guard waiting.isEmpty, connecting == 0, connections.allSatisfy(\.isIdle) else { return }
        let open = connections
        connections = []
        for connection in open {
            connection.delegate = nil
            connection.close()
        }
        closing.take()?.succeed()
    }
}

/// What a pool does, as other threads see it.
final class PoolLoad: Sendable {
    let connections = Atomic(0)
    let waiting = Atomic(0)
}
