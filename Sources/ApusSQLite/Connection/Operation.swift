import ApusCore
import Synchronization

/// An operation on a connection, and the completion of the task that waits for it. An operation that is cancelled
/// before it begins never runs; the statement of one that is cancelled while it runs is ended by ``StatementMonitor``.
final class Operation: Sendable {
    private enum State {
        case waiting(@Sendable ((any Error)?) -> Void)
        case running(@Sendable ((any Error)?) -> Void, isCancelled: Bool)
        case finished
    }

    /// When the operation was enqueued, on the monotonic clock.
    let enqueuedAt = ContinuousClock.now
    /// Whether the operation must run outside of any transaction.
    let runsAlone: Bool
    private let body: @Sendable (OpenConnection) throws -> Void
    private let state: Mutex<State>

    /// Creates an operation.
    /// - Parameter completion: Called once, with the error if the operation failed.
    init(
        runsAlone: Bool = false, _ body: @escaping @Sendable (OpenConnection) throws -> Void,
        completion: @escaping @Sendable ((any Error)?) -> Void
    ) {
        self.runsAlone = runsAlone
        self.body = body
        state = Mutex(.waiting(completion))
    }

    /// Marks the operation as running.
    /// - Returns: Whether to run the operation; `false` if it was cancelled.
    func begin() -> Bool {
        state.withLock { state in
            guard case .waiting(let completion) = state else { return false }
            state = .running(completion, isCancelled: false)
            return true
        }
    }

    /// Whether the operation has ended, or was cancelled before it began.
    var isFinished: Bool {
        state.withLock { state in
            if case .finished = state { true } else { false }
        }
    }

    /// Whether the operation was cancelled while it runs.
    var isCancelled: Bool {
        state.withLock { state in
            if case .running(_, isCancelled: true) = state { true } else { false }
        }
    }

    func run(on connection: OpenConnection) throws { try body(connection) }

    /// Ends the operation. An error that its own cancellation has caused is reported as such.
    func finish(_ error: (any Error)?) {
        let wasInterrupted = isCancelled && (error as? AppError)?.code == .cancelled
        take { _ in true }?(wasInterrupted ? CancellationError() : error)
    }

    /// Fails the operation if it has not begun.
    func finishIfWaiting(_ error: any Error) {
        take { state in
            if case .waiting = state { true } else { false }
        }?(error)
    }

    func cancel() {
        let completion = take { state in
            switch state {
            case .waiting: return true
            case .running(let completion, _):
                state = .running(completion, isCancelled: true)
                return false
            case .finished: return false
            }
        }
        completion?(CancellationError())
    }

    /// Ends the operation if a condition holds.
    /// - Returns: The completion to call.
    private func take(if condition: (inout State) -> Bool) -> (@Sendable ((any Error)?) -> Void)? {
        state.withLock { state in
            guard condition(&state) else { return nil }
            defer { state = .finished }
            switch state {
            case .waiting(let completion), .running(let completion, _): return completion
            case .finished: return nil
            }
        }
    }
}

extension Operation {
    /// Runs a closure on a connection and waits for its result.
    /// - Parameters:
    ///   - rejection: The error to throw if `submit` returns `false`.
    ///   - submit: Hands the operation to a thread; returns `false` if operations are no longer accepted.
    ///   - afterwards: Called on that thread after the success. This method returns once it has called its argument.
    static func run<Result: Sendable>(
        rejection: any Error = AppError(.unavailable, "The database is closed."), runsAlone: Bool = false,
        submit: (Operation) -> Bool,
        afterwards: (@Sendable (_ completion: @escaping @Sendable () -> Void) -> Void)? = nil,
        _ body: @escaping @Sendable (OpenConnection) throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        let result = ResultBox<Result>()
        let current = Mutex<Operation?>(nil)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let operation = Operation(runsAlone: runsAlone, { try result.set(body($0)) }) { error in
                    if let error { return continuation.resume(throwing: error) }
                    guard let afterwards else { return continuation.resume() }
                    afterwards { continuation.resume() }
                }
                current.withLock { $0 = operation }
                if Task.isCancelled { return operation.cancel() }
                if !submit(operation) { operation.finish(rejection) }
            }
        } onCancel: {
            current.withLock { $0 }?.cancel()
        }
        return try result.get()
    }
}

/// Passes a result from the thread that produces it to the task that waits for it.
private final class ResultBox<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)

    func set(_ newValue: Value) { value.withLock { $0 = newValue } }

    func get() throws -> Value {
        guard let value = value.withLock({ $0 }) else { throw AppError(.internal, "A statement produced no result.") }
        return value
    }
}
