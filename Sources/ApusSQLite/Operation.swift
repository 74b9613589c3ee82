import ApusCore
import GRDB
import Synchronization

/// Something to do on a connection, and whoever waits for it. Cancelled before it began, it is never done.
final class Operation: Sendable {
    private enum State {
        case waiting(@Sendable ((any Error)?) -> Void)
        case running(@Sendable ((any Error)?) -> Void)
        case finished
    }

    private let body: @Sendable (GRDB.Database) throws -> Void
    private let state: Mutex<State>

    /// - Parameter completion: Called once, with the error if there is one.
    init(
        _ body: @escaping @Sendable (GRDB.Database) throws -> Void,
        completion: @escaping @Sendable ((any Error)?) -> Void
    ) {
        self.body = body
        state = Mutex(.waiting(completion))
    }

    /// - Returns: Whether the operation is to be run; not if it was cancelled.
    func begin() -> Bool {
        state.withLock { state in
            guard case .waiting(let completion) = state else { return false }
            state = .running(completion)
            return true
        }
    }

    func run(on database: GRDB.Database) throws { try body(database) }

    func finish(_ error: (any Error)?) {
        let completion = state.withLock { state -> (@Sendable ((any Error)?) -> Void)? in
            defer { state = .finished }
            switch state {
            case .waiting(let completion), .running(let completion): return completion
            case .finished: return nil
            }
        }
        completion?(error)
    }

    func cancel() {
        let completion = state.withLock { state -> (@Sendable ((any Error)?) -> Void)? in
            guard case .waiting(let completion) = state else { return nil }
            state = .finished
            return completion
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
        refusal: AppError = AppError(.unavailable, "The database is closed."), submit: (Operation) -> Bool,
        _ body: @escaping @Sendable (GRDB.Database) throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        let result = Box<Result>()
        let current = Mutex<Operation?>(nil)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let operation = Operation({ try result.set(body($0)) }) { error in
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
