import ApusCore
import NIOCore
import NIOPosix
import ServiceContextModule
import Synchronization

/// The connections that one task at a time has for itself: for transactions, COPY, cursors and statements that take
/// long.
///
/// Bounded, and fair: tasks get a connection in the order in which they have asked.
final class ExclusivePool: PostgresConnection.Delegate, Sendable {
    private struct Waiter {
        let id: Int
        let continuation: CheckedContinuation<PostgresConnection, any Error>
    }

    private struct State {
        var idle: [PostgresConnection] = []
        /// The number of connections, with those that are being opened.
        var open = 0
        var waiters: CircularBuffer<Waiter> = []
        var nextID = 0
        var isClosed = false
        var closing: [CheckedContinuation<Void, Never>] = []
    }

    private let connector: PostgresConnector
    private let statements: @Sendable (any EventLoop) -> LoopStatements
    private let state = Mutex(State())

    /// - Parameter statements: Returns the statements of an event loop.
    init(connector: PostgresConnector, statements: @escaping @Sendable (any EventLoop) -> LoopStatements) {
        self.connector = connector
        self.statements = statements
    }

    /// Runs a closure with a connection that nobody else uses.
    /// - Throws: An `AppError` of code `deadlineExceeded` if the deadline passes while waiting for a connection,
    ///   `unavailable` if none can be opened, `resourceExhausted` if the task has one already and there is no other.
    func withConnection<Result>(
        on loop: any EventLoop, _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await acquire(on: loop)
        do {
            let result = try await body(connection)
            await release(connection)
            return result
        } catch {
            await release(connection)
            throw error
        }
    }

    private func acquire(on loop: any EventLoop) async throws -> PostgresConnection {
        while true {
            let connection = try await next(on: loop)
            if await isFit(connection) { return connection }
        }
    }

    // MARK: Waiting

    private func next(on loop: any EventLoop) async throws -> PostgresConnection {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    add(Waiter(id: id, continuation: continuation), on: loop)
                }
            } onCancel: {
                cancel(id)
            }
        } catch is LoopPool.WaitCancelled {
            throw AppError.cancelledWait(for: "one of \(connector.configuration.poolSize) connections")
        }
    }

    private enum Step {
        case use(PostgresConnection)
        case connect
        case wait
        case fail(any Error)
    }

    private func add(_ waiter: Waiter, on loop: any EventLoop) {
        let isHolding = HeldConnection.exists(of: self)
        let step = state.withLock { state -> Step in
            if state.isClosed { return .fail(AppError(.unavailable, "The database is closed.")) }
            if Task.isCancelled { return .fail(LoopPool.WaitCancelled()) }
            if state.waiters.isEmpty, let index = Self.bestIndex(state.idle, loop) {
                return .use(state.idle.remove(at: index))
            }
            let isFull = state.open >= connector.configuration.poolSize
            if isFull, isHolding { return .fail(Self.heldTooMany) }
            state.waiters.append(waiter)
            guard !isFull else { return .wait }
            state.open += 1
            return .connect
        }
        switch step {
        case .use(let connection): waiter.continuation.resume(returning: connection)
        case .connect: connect(on: loop)
        case .wait: break
        case .fail(let error): waiter.continuation.resume(throwing: error)
        }
    }

    private static var heldTooMany: AppError {
        AppError(
            .resourceExhausted,
            "All connections are in use, and a stream or a copy does not wait for a second one. Raise the pool size.")
    }

    /// Returns the index of the connection that was used last, of the same event loop if there is one.
    private static func bestIndex(_ idle: [PostgresConnection], _ loop: any EventLoop) -> Int? {
        idle.lastIndex { $0.loop === loop } ?? idle.indices.last
    }

    private func cancel(_ id: Int) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(throwing: LoopPool.WaitCancelled())
    }

    // MARK: Connecting

    /// Opens a connection. It goes on if the task that needed it is cancelled.
    private func connect(on loop: any EventLoop) {
        // Detached, so that it has neither the deadline nor the transaction of the task that needs it.
        Task.detached {
            do {
                let connection = try await self.connector.connect(on: loop, self.statements(loop))
                await self.connected(connection)
            } catch {
                self.failedToConnect(error)
            }
        }
    }

    private func connected(_ connection: PostgresConnection) async {
        let isOpen = await connection.onLoop { connection in
            guard connection.transport == .open else { return false }
            connection.delegate = self
            return true
        }
        if isOpen { await release(connection) } else { lostConnection() }
    }

    private func failedToConnect(_ error: any Error) {
        let (failed, closing) = state.withLock { state -> ([Waiter], [CheckedContinuation<Void, Never>]) in
            state.open -= 1
            // If there are other connections, the rest may wait for them.
            let count = state.open == 0 ? state.waiters.count : min(1, state.waiters.count)
            let failed = Array(state.waiters.prefix(count))
            state.waiters.removeFirst(count)
            return (failed, Self.takeClosing(&state))
        }
        for waiter in failed { waiter.continuation.resume(throwing: error) }
        for continuation in closing { continuation.resume() }
    }

    func connectionAdvanced(_ connection: PostgresConnection) {}

    func connectionClosed(_ connection: PostgresConnection) {
        state.withLock { $0.idle.removeAll { $0 === connection } }
        lostConnection()
    }

    /// Counts a connection as gone, and opens another if somebody waits for it.
    private func lostConnection() {
        let (connects, closing) = state.withLock { state -> (Bool, [CheckedContinuation<Void, Never>]) in
            state.open -= 1
            if !state.waiters.isEmpty, state.open < connector.configuration.poolSize {
                state.open += 1
                return (true, [])
            }
            return (false, Self.takeClosing(&state))
        }
        if connects { connect(on: MultiThreadedEventLoopGroup.singleton.any()) }
        for continuation in closing { continuation.resume() }
    }

    private static func takeClosing(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        guard state.isClosed, state.open == 0 else { return [] }
        defer { state.closing = [] }
        return state.closing
    }

    // MARK: Using

    private enum Fitness {
        case fit
        case unfit
        case unknown
    }

    /// Whether a connection can be used. Closes one that cannot.
    private func isFit(_ connection: PostgresConnection) async -> Bool {
        let configuration = connector.configuration
        let fitness = await connection.onLoop { connection -> Fitness in
            let now = NIODeadline.now()
            guard connection.isUsable, !connection.hasExpired(configuration, now: now) else {
                connection.close()
                return .unfit
            }
            return connection.needsCheck(configuration, now: now) ? .unknown : .fit
        }
        switch fitness {
        case .fit: return true
        case .unfit: return false
        case .unknown:
            return await withUnsafeContinuation { continuation in
                connection.loop.runNowOrSoon { connection.ping { continuation.resume(returning: $0) } }
            }
        }
    }

    /// Gives a connection back. It is used again only outside of any transaction.
    private func release(_ connection: PostgresConnection) async {
        await connection.settle()
        let isReusable = await connection.onLoop { connection -> Bool in
            guard connection.isUsable, connection.isIdle, connection.machine.status == .idle else {
                connection.close()
                return false
            }
            connection.transaction = .none
            connection.machine.isTransactionReadOnly = false
            return true
        }
        guard isReusable else { return }
        let waiter = state.withLock { state -> Waiter? in
            if let waiter = state.waiters.popFirst() { return waiter }
            if !state.isClosed { state.idle.append(connection) }
            return nil
        }
        if let waiter { return waiter.continuation.resume(returning: connection) }
        if state.withLock({ $0.isClosed }) { await connection.onLoop { $0.close() } }
    }

    /// Closes idle connections that are too old.
    func trim() {
        let idle = state.withLock { $0.idle }
        for connection in idle where connection.hasExpired(connector.configuration, now: .now()) {
            let isTaken = state.withLock { state -> Bool in
                guard let index = state.idle.firstIndex(where: { $0 === connection }) else { return true }
                state.idle.remove(at: index)
                return false
            }
            if !isTaken { connection.loop.execute { connection.close() } }
        }
    }

    var counts: (open: Int, idle: Int, waiting: Int) {
        state.withLock { ($0.open, $0.idle.count, $0.waiters.count) }
    }

    /// Closes all connections; those in use when they are given back.
    func close() async {
        let (idle, waiters) = state.withLock { state -> ([PostgresConnection], CircularBuffer<Waiter>) in
            defer { (state.idle, state.waiters) = ([], []) }
            state.isClosed = true
            return (state.idle, state.waiters)
        }
        for waiter in waiters {
            waiter.continuation.resume(throwing: AppError(.unavailable, "The database is closed."))
        }
        for connection in idle { connection.loop.execute { connection.close() } }
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state -> Bool in
                if state.open == 0 { return true }
                state.closing.append(continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
    }
}

extension AppError {
    /// The error for a task that ended while it waited for a connection.
    static func cancelledWait(for what: String) -> any Error {
        guard let deadline = ServiceContext.current?.deadline, deadline.hasPassed else { return CancellationError() }
        return AppError(
            .deadlineExceeded, "The request exceeded its deadline while it waited for the database.",
            cause: WaitTimeout(description: "All of \(what) were in use."))
    }
}

/// What a task waited for when its deadline passed. Only logged.
struct WaitTimeout: Error, CustomStringConvertible {
    let description: String
}
