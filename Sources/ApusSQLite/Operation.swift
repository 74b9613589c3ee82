import ApusCore
import GRDB
import Synchronization

/// Something to do on a connection, and the task that waits for it. Cancelled before it began, it is never done; cancelled while
/// it reads, it is interrupted.
final class Operation: Sendable {
    private enum State {
        case waiting(@Sendable ((any Error)?) -> Void)
        /// - Parameter interrupt: Ends what is running; `nil` for what must not be ended from outside.
        case running(@Sendable ((any Error)?) -> Void, interrupt: (@Sendable () -> Void)?)
        case finished
    }

    /// When it began to wait, on the monotonic clock.
    let enqueuedAt = ContinuousClock.now
    /// Whether it must not be part of a transaction.
    let runsAlone: Bool
    private let body: @Sendable (GRDB.Database) throws -> Void
    private let state: Mutex<State>

    /// - Parameter completion: Called once, with the error if there is one.
    init(
        runsAlone: Bool = false, _ body: @escaping @Sendable (GRDB.Database) throws -> Void,
        completion: @escaping @Sendable ((any Error)?) -> Void
    ) {
        self.runsAlone = runsAlone
        self.body = body
        state = Mutex(.waiting(completion))
    }

    /// - Parameter interrupt: Ends the statement when the task is cancelled. Called while the operation is running, and never after.
    /// - Returns: Whether the operation is to be run; not if it was cancelled.
    func begin(interrupt: (@Sendable () -> Void)? = nil) -> Bool {
        state.withLock { state in
            guard case .waiting(let completion) = state else { return false }
            state = .running(completion, interrupt: interrupt)
            return true
        }
    }

    /// Whether its turn has not come, and somebody still waits for it.
    var isWaiting: Bool {
        state.withLock { state in
            if case .waiting = state { true } else { false }
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

    func cancel() {
        let completion = state.withLock { state -> (@Sendable ((any Error)?) -> Void)? in
            switch state {
            case .waiting(let completion):
                state = .finished
                return completion
            case .running(_, let interrupt):
                // Under the lock: the thread cannot go on to another statement meanwhile.
                interrupt?()
                return nil
            case .finished: return nil
            }
        }
        completion?(CancellationError())
    }
}

extension Operation {
    /// Waits for a body to be run on a connection.
    /// - Parameters:
    ///   - refusal: The error when no thread takes the operation any more.
    ///   - submit: Hands the operation to a thread; `false` when there is none.
    static func run<Result: Sendable>(
        refusal: AppError = AppError(.unavailable, "The database is closed."), runsAlone: Bool = false,
        submit: (Operation) -> Bool,
        _ body: @escaping @Sendable (GRDB.Database) throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        let result = Box<Result>()
        let current = Mutex<Operation?>(nil)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let operation = Operation(runsAlone: runsAlone, { try result.set(body($0)) }) { error in
                    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
                }
                current.withLock { $0 = operation }
                if Task.isCancelled { return operation.cancel() }
                if !submit(operation) { operation.finish(refusal) }
            }
        } onCancel: {
            current.withLock { $0 }?.cancel()
        }
        return try result.get()
    }
}

/// A result on its way from the thread that makes it to the task that waits for it.
private final class Box<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)

    func set(_ newValue: Value) { value.withLock { $0 = newValue } }

    func get() throws -> Value {
        guard let value = value.withLock({ $0 }) else { throw AppError(.internal, "A statement had no result.") }
        return value
    }
}
