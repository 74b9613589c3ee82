import ApusCore
import GRDB
import Synchronization

/// An operation on a connection, and the completion of the task that waits for it. An operation that is cancelled
/// before it begins never runs; a read that is cancelled while it runs is interrupted.
final class Operation: Sendable {
    private enum State {
        case waiting(@Sendable ((any Error)?) -> Void)
        /// - Parameter interrupt: Interrupts the running statement; `nil` if it must not be interrupted.
        case running(@Sendable ((any Error)?) -> Void, interrupt: (@Sendable () -> Void)?)
        case finished
    }

    /// When the operation was enqueued, on the monotonic clock.
    let enqueuedAt = ContinuousClock.now
    /// Whether the operation must run outside of any transaction.
    let runsAlone: Bool
    private let body: @Sendable (GRDB.Database) throws -> Void
    private let state: Mutex<State>

    /// Creates an operation.
    /// - Parameter completion: Called once, with the error if the operation failed.
    init(
        runsAlone: Bool = false, _ body: @escaping @Sendable (GRDB.Database) throws -> Void,
        completion: @escaping @Sendable ((any Error)?) -> Void
    ) {
        self.runsAlone = runsAlone
        self.body = body
        state = Mutex(.waiting(completion))
    }

    /// Marks the operation as running.
    /// - Parameter interrupt: Interrupts the statement when the task is cancelled. Called only while the operation
    ///   runs.
    /// - Returns: Whether to run the operation; `false` if it was cancelled.
    func begin(interrupt: (@Sendable () -> Void)? = nil) -> Bool {
        state.withLock { state in
            guard case .waiting(let completion) = state else { return false }
            state = .running(completion, interrupt: interrupt)
            return true
        }
    }

    /// Whether the operation has ended or been cancelled.
    var isFinished: Bool {
        state.withLock { state in
            if case .finished = state { true } else { false }
        }
    }

    func run(on database: GRDB.Database) throws { try body(database) }

    func finish(_ error: (any Error)?) {
        let completion = state.withLock { state -> (@Sendable ((any Error)?) -> Void)? in
            defer { state = .finished }
            switch state {
            case .waiting(let completion), .running(let completion, _): return completion
            case .finished: return nil
            }
        }
        completion?(error)
    }

    /// Fails the operation if it has not begun.
    func finishIfWaiting(_ error: any Error) {
        let completion = state.withLock { state -> (@Sendable ((any Error)?) -> Void)? in
            guard case .waiting(let completion) = state else { return nil }
            state = .finished
            return completion
        }
        completion?(error)
    }

    func cancel() {
        let completion = state.withLock { state -> (@Sendable ((any Error)?) -> Void)? in
            switch state {
            case .waiting(let completion):
                state = .finished
                return completion
            case .running(_, let interrupt):
                // Called under the lock, so that the thread cannot have moved on to another statement.
                interrupt?()
                return nil
            case .finished: return nil
            }
        }
        completion?(CancellationError())
    }
}

extension Operation {
    /// Runs a closure on a connection and waits for its result.
    /// - Parameters:
    ///   - rejection: The error to throw if `submit` returns `false`.
    ///   - submit: Hands the operation to a thread; returns `false` if operations are no longer accepted.
    static func run<Result: Sendable>(
        rejection: AppError = AppError(.unavailable, "The database is closed."), runsAlone: Bool = false,
        submit: (Operation) -> Bool,
        _ body: @escaping @Sendable (GRDB.Database) throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        let result = ResultBox<Result>()
        let current = Mutex<Operation?>(nil)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let operation = Operation(runsAlone: runsAlone, { try result.set(body($0)) }) { error in
                    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
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
