import ApusCore
import NIOCore
import ServiceContextModule
import Synchronization

/// The connections that one task uses at a time.
final class DedicatedConnections: Sendable {
    private struct State {
        var idle: [NodeID: [RedisConnection]] = [:]
        /// Those in use, including those that are being opened.
        var used = 0
        var nextWaiter = 0
        /// In the order of their requests.
        var waiters = CircularBuffer<(id: Int, continuation: CheckedContinuation<Void, any Error>)>()
        var isClosed = false
    }

    private let core: ClientCore
    private let state = Mutex(State())

    init(_ core: ClientCore) { self.core = core }

    /// Runs a closure with a connection that nothing else uses.
    ///
    /// The connection is kept for the next use if the closure returns, and closed if it throws.
    /// - Throws: An `AppError` with code `resourceExhausted` if the deadline passes while all connections are in use.
    func with<Result>(
        _ node: NodeID, _ body: (RedisConnection) async throws -> Result
    ) async throws -> Result {
        try await acquire()
        var connection: RedisConnection?
        do {
            // Otherwise a connection would be closed for a task that has not used it.
            try Task.checkCancellation()
            let opened = try await open(node)
            connection = opened
            let result = try await body(opened)
            release(opened, node)
            return result
        } catch {
            if let connection { connection.eventLoop.execute { connection.end(.abandoned) } }
            release(nil, node)
            throw error
        }
    }

    private func open(_ node: NodeID) async throws -> RedisConnection {
        while let idle = state.withLock({ $0.idle[node]?.popLast() }) { if idle.isOpen { return idle } }
        let eventLoop = core.current.eventLoop
        let opening = core.endpoint(of: node, on: eventLoop).flatMap { endpoint in
            RedisConnection.open(on: eventLoop, to: endpoint, for: .dedicated, self.core.settings)
        }
        do {
            return try await opening.valueUnlessCancelled()
        } catch let error as CancellationError {
            opening.whenSuccess { $0.end(.abandoned) }
            throw error
        } catch {
            throw (error as? ConnectionFailure ?? .unreachable(error)).errorBeforeSending
        }
    }

    // MARK: Bounds

    /// Waits until a connection may be used.
    private func acquire() async throws {
        let isFree = try state.withLock { state in
            if state.isClosed { throw ConnectionFailure.clientClosed.errorBeforeSending }
            guard state.used < core.configuration.dedicatedConnections, state.waiters.isEmpty else { return false }
            state.used += 1
            return true
        }
        if !isFree { try await wait() }
    }

    private func wait() async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let timer = ServiceContext.current?.deadline.map { deadline in
            // Somewhat earlier than the caller, who could only say that the deadline has passed.
            let delay = deadline.remaining - .milliseconds(10)
            return core.defaultLoop.scheduleTask(in: TimeAmount(max(.zero, delay))) {
                self.removeWaiter(id)?.resume(throwing: self.exhausted)
            }
        }
        defer { timer?.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Swift.Result<Void, any Error>? = state.withLock { state in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.isClosed { return .failure(ConnectionFailure.clientClosed.errorBeforeSending) }
                    if state.used < core.configuration.dedicatedConnections {
                        state.used += 1
                        return .success(())
                    }
                    state.waiters.append((id, continuation))
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            removeWaiter(id)?.resume(throwing: CancellationError())
        }
    }

    private func removeWaiter(_ id: Int) -> CheckedContinuation<Void, any Error>? {
        state.withLock { state in
            state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0).continuation }
        }
    }

    private var exhausted: AppError {
        AppError(
            .resourceExhausted,
            "All \(core.configuration.dedicatedConnections) dedicated connections to Redis were in use until the "
                + "deadline passed.")
    }

    private func release(_ connection: RedisConnection?, _ node: NodeID) {
        let (next, unused) = state.withLock { state in
            var unused = connection
            if let connection, connection.isOpen, !state.isClosed {
                state.idle[node, default: []].append(connection)
                unused = nil
            }
            // The next task takes over the place of this one.
            guard let next = state.waiters.popFirst() else {
                state.used -= 1
                return (nil as CheckedContinuation<Void, any Error>?, unused)
            }
            return (next.continuation, unused)
        }
        if let unused { unused.eventLoop.execute { unused.end(.clientClosed) } }
        next?.resume()
    }

    // MARK: Closing

    /// Closes the idle connections. Those in use are closed when they are released.
    func close() {
        let (idle, waiters) = state.withLock { state in
            state.isClosed = true
            defer {
                state.idle = [:]
                state.waiters.removeAll()
            }
            return (state.idle.values.flatMap { $0 }, Array(state.waiters))
        }
        for connection in idle { connection.eventLoop.execute { connection.end(.clientClosed) } }
        for waiter in waiters {
            waiter.continuation.resume(throwing: ConnectionFailure.clientClosed.errorBeforeSending)
        }
    }
}
