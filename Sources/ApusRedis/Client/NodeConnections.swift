import ApusCore
import NIOCore

/// Connections to one server that the tasks of one event loop share, and the commands that wait for them.
///
/// `@unchecked Sendable`: every stored property is accessed only on the event loop.
final class NodeConnections: RedisConnection.Owner, RedisRequest.Owner, @unchecked Sendable {
    private struct Waiting {
        let request: RedisRequest
        var timer: Scheduled<Void>?
    }

    private let eventLoop: any EventLoop
    private let node: NodeID
    private let core: ClientCore
    /// The number of connections.
    private let count: Int
    @exclusivity(unchecked) private var connections: [RedisConnection] = []
    /// Connections that accept no commands any more and wait for their last replies.
    private var draining: [RedisConnection] = []
    private var opening = 0
    private var delay: ReconnectDelay
    /// Why there is no connection. `nil` before the first attempt has failed.
    private var lastFailure: ConnectionFailure?
    private var retry: Scheduled<Void>?
    private var waiting = CircularBuffer<Waiting>()
    private var isClosed = false

    init(_ eventLoop: any EventLoop, _ node: NodeID, _ core: ClientCore, count: Int) {
        self.eventLoop = eventLoop
        self.node = node
        self.core = core
        self.count = count
        delay = ReconnectDelay(core.configuration.reconnect)
    }

    private var name: String {
        switch node {
        case .primary: core.primaryName
        case .member(let endpoint): endpoint.description
        }
    }

    // MARK: Requests

    func submit(_ request: RedisRequest) {
        if connections.count < count { openMissing() }
        if let connection = leastBusy() { return connection.submit(request) }
        guard !isClosed else { return request.finish(.failure(ConnectionFailure.clientClosed.errorBeforeSending)) }
        if let lastFailure, !mayWait(request) {
            core.outages.rejectedCommand(name)
            return request.finish(.failure(lastFailure.errorBeforeSending))
        }
        guard waiting.count < core.configuration.waitingCommands else {
            core.outages.rejectedCommand(name)
            return request.finish(
                .failure(
                    AppError(
                        .unavailable,
                        "Redis is not available, and \(core.configuration.waitingCommands) commands wait for it already.",
                        reason: .redisUnavailable, cause: lastFailure)))
        }
        wait(request)
    }

    private func mayWait(_ request: RedisRequest) -> Bool {
        request.waitsWhileAway || core.configuration.whileAway == .wait
    }

    private func leastBusy() -> RedisConnection? {
        guard connections.count > 1 else { return connections.first }
        return connections.min { $0.pending < $1.pending }
    }

    private func wait(_ request: RedisRequest) {
        // A task without a deadline waits no longer than it would for a reply.
        let now = NIODeadline.now()
        let limit = now + TimeAmount(core.configuration.responseTimeout)
        let deadline = min(request.deadline ?? limit, limit)
        let isTaskDeadline = deadline == request.deadline
        let timer = eventLoop.scheduleTask(deadline: deadline) {
            let failure = self.lastFailure ?? .unreachable(ChannelError.connectTimeout(deadline - now))
            self.endWaiting(request, isTaskDeadline ? Deadline.exceeded : failure.errorBeforeSending)
        }
        request.owner = self
        waiting.append(Waiting(request: request, timer: timer))
    }

    private func endWaiting(_ request: RedisRequest, _ error: any Error) {
        guard let index = waiting.firstIndex(where: { $0.request === request }) else { return }
        waiting.remove(at: index).timer?.cancel()
        request.finish(.failure(error))
    }

    func cancel(_ request: RedisRequest) { endWaiting(request, CancellationError()) }

    // MARK: Opening

    private func openMissing() {
        guard !isClosed, retry == nil else { return }
        // While the server is away, one attempt at a time is enough.
        let wanted = lastFailure == nil ? count : 1
        while connections.count + opening < wanted {
            opening += 1
            core.endpoint(of: node, on: eventLoop)
                .flatMap { endpoint in
                    RedisConnection.open(
                        on: self.eventLoop, to: endpoint, for: .shared, self.core.settings, owner: self)
                }
                .whenComplete { self.opened($0) }
        }
    }

    private func opened(_ result: Result<RedisConnection, any Error>) {
        opening -= 1
        switch result {
        case .success(let connection):
            guard !isClosed else { return connection.end(.clientClosed) }
            // It may have ended between becoming ready and this call.
            guard connection.isReady else { return retryLater() }
            connections.append(connection)
            lastFailure = nil
            core.outages.recovered(name)
            sendWaiting()
            openMissing()
        case .failure(let error):
            guard !isClosed else { return }
            delay.failed()
            lost(error as? ConnectionFailure ?? .unreachable(error))
        }
    }

    private func sendWaiting() {
        while let connection = leastBusy(), let next = waiting.popFirst() {
            next.timer?.cancel()
            connection.submit(next.request)
        }
    }

    private func lost(_ failure: ConnectionFailure) {
        core.outages.failed(name, failure)
        core.cluster?.refreshSoon(core)
        if connections.isEmpty {
            lastFailure = failure
            failWaiting(failure)
        }
        retryLater()
    }

    private func failWaiting(_ failure: ConnectionFailure) {
        var remaining = CircularBuffer<Waiting>()
        while let next = waiting.popFirst() {
            if mayWait(next.request), !isClosed {
                remaining.append(next)
            } else {
                next.timer?.cancel()
                core.outages.rejectedCommand(name)
                next.request.finish(.failure(failure.errorBeforeSending))
            }
        }
        waiting = remaining
    }

    private func retryLater() {
        guard !isClosed, retry == nil else { return }
        retry = eventLoop.scheduleTask(in: delay.next) {
            self.retry = nil
            self.openMissing()
        }
        retry?.futureResult.whenFailure { error in
            // The event loop may end before the client.
            guard case .shutdown? = error as? EventLoopError else { return }
            self.close()
            self.core.forget(self.eventLoop)
        }
    }

    // MARK: Connection events

    func connectionRefused(_ connection: RedisConnection) {
        connections.removeAll { $0 === connection }
        draining.append(connection)
        delay.ended(readyAt: connection.readyAt)
        if connections.isEmpty { lastFailure = .refusing }
        retryLater()
    }

    func connectionEnded(_ connection: RedisConnection, _ failure: ConnectionFailure) {
        connections.removeAll { $0 === connection }
        draining.removeAll { $0 === connection }
        switch failure {
        case .clientClosed, .abandoned: break
        case .lost, .unreachable, .violation, .stalled, .refused, .refusing, .notPrimary:
            delay.ended(readyAt: connection.readyAt)
            lost(failure)
        }
    }

    func connection(_ connection: RedisConnection, received message: PushMessage) {}

    // MARK: Closing

    /// Accepts no more requests; what was written gets its replies.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        retry?.cancel()
        failWaiting(.clientClosed)
        for connection in connections { connection.drain() }
    }

    /// Whether all connections have ended. Those that are being opened are closed when they are ready or have failed.
    var hasEnded: Bool { connections.isEmpty && draining.isEmpty }

    /// Ends all connections, whether or not replies are missing.
    func abort() {
        close()
        for connection in connections + draining { connection.end(.clientClosed) }
    }
}
