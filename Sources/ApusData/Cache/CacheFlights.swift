import ApusCore
import ServiceContextModule
import Synchronization

/// The loads of a cache that are in progress: one for each key.
///
/// A load runs in a task of its own, so that the callers who wait for it do not depend on the first of them: it goes on as
/// long as one of them waits.
public final class CacheFlights: Sendable {
    private typealias Waiter = CheckedContinuation<any Sendable, any Error>

    private struct Flight {
        let key: CacheKey
        let ticket: CacheTicket?
        var waiters: [Int: Waiter] = [:]
        var task: Task<Void, Never>?
    }

    private struct State {
        var nextID = 0
        var flights: [Int: Flight] = [:]
        /// The flight of each key that callers may join.
        var open: [CacheKey: Int] = [:]
    }

    private let state = Mutex(State())

    /// Creates an empty list.
    public init() {}

    /// The number of loads in progress.
    package var count: Int { state.withLock { $0.flights.count } }

    /// The number of callers that wait for loads.
    package var waiterCount: Int { state.withLock { $0.flights.values.reduce(0) { $0 + $1.waiters.count } } }

    /// Waits for the load of a key, and starts it if there is none.
    /// - Parameter ticket: What the caller's lookup found. A load with another one has begun before the key or one of its
    ///   groups was removed, maybe by another process, and is not joined.
    /// - Throws: The error of the load; `CancellationError`; `deadlineExceeded` at the caller's deadline.
    func join(
        _ key: CacheKey, _ ticket: CacheTicket?, timeout: Duration,
        _ load: @escaping @Sendable () async throws -> any Sendable
    ) async throws -> any Sendable {
        guard let deadline = ServiceContext.current?.deadline else { return try await wait(key, ticket, timeout, load) }
        let box = try await withDeadline(deadline) { Box(value: try await self.wait(key, ticket, timeout, load)) }
        return box.value
    }

    private struct Box: Sendable {
        let value: any Sendable
    }

    private func wait(
        _ key: CacheKey, _ ticket: CacheTicket?, _ timeout: Duration,
        _ load: @escaping @Sendable () async throws -> any Sendable
    ) async throws -> any Sendable {
        let waiter = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(waiter, continuation, key, ticket, timeout, load)
            }
        } onCancel: {
            cancel(waiter)
        }
    }

    private func add(
        _ waiter: Int, _ continuation: Waiter, _ key: CacheKey, _ ticket: CacheTicket?, _ timeout: Duration,
        _ load: @escaping @Sendable () async throws -> any Sendable
    ) {
        let isCancelled = state.withLock { state in
            if Task.isCancelled { return true }
            if let id = state.open[key], state.flights[id]?.ticket == ticket {
                state.flights[id]?.waiters[waiter] = continuation
                return false
            }
            state.nextID += 1
            let id = state.nextID
            state.flights[id] = Flight(key: key, ticket: ticket, waiters: [waiter: continuation])
            state.open[key] = id
            state.flights[id]?.task = start(id, timeout, load)
            return false
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
    }

    /// Starts a load. It keeps the caller's tracing context, but neither its deadline nor its transaction.
    private func start(
        _ id: Int, _ timeout: Duration, _ load: @escaping @Sendable () async throws -> any Sendable
    ) -> Task<Void, Never> {
        let context = ServiceContext.current ?? .topLevel
        return Task.detached {
            let result: Result<any Sendable, any Error>
            do {
                let box = try await ServiceContext.withValue(context) {
                    try await withoutDeadline {
                        try await withDeadline(.after(timeout)) { Box(value: try await load()) }
                    }
                }
                result = .success(box.value)
            } catch {
                result = .failure(error)
            }
            self.finish(id, result)
        }
    }

    private func finish(_ id: Int, _ result: Result<any Sendable, any Error>) {
        let flight = state.withLock { state in
            let flight = state.flights.removeValue(forKey: id)
            if let flight, state.open[flight.key] == id { state.open[flight.key] = nil }
            return flight
        }
        for waiter in (flight?.waiters ?? [:]).values { waiter.resume(with: result) }
    }

    private func cancel(_ waiter: Int) {
        let (continuation, task) = state.withLock { state -> (Waiter?, Task<Void, Never>?) in
            guard let id = state.flights.first(where: { $0.value.waiters[waiter] != nil })?.key else {
                return (nil, nil)
            }
            let continuation = state.flights[id]?.waiters.removeValue(forKey: waiter)
            guard let flight = state.flights[id], flight.waiters.isEmpty else { return (continuation, nil) }
            // Nobody waits any more. A new caller starts a new load.
            state.flights[id] = nil
            if state.open[flight.key] == id { state.open[flight.key] = nil }
            return (continuation, flight.task)
        }
        task?.cancel()
        continuation?.resume(throwing: CancellationError())
    }

    /// Lets no more callers join the load of a key, which may have seen what has been removed or replaced.
    func detach(_ key: CacheKey) {
        state.withLock { state in
            for open in state.open.keys where open.name.isExactly(key.name) { state.open[open] = nil }
        }
    }

    /// The same for all keys of a group.
    func detach(_ group: CacheGroup) {
        state.withLock { state in
            for open in state.open.keys where open.groups.contains(group) { state.open[open] = nil }
        }
    }
}
