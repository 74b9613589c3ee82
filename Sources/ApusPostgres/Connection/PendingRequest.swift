import ApusCore
import ApusData
import NIOCore

/// A request, and the task that waits for its answer.
///
/// `@unchecked Sendable`: the mutable properties are accessed only on the event loop of the connection or pool that the
/// request was submitted to, apart from the continuation, which is set before the request is submitted.
final class PendingRequest: @unchecked Sendable {
    enum Kind: Sendable {
        /// A statement without lists.
        /// - Parameter keepsPrepared: Whether it may stay prepared for later executions.
        case statement(SQL, keepsPrepared: Bool)
        /// Statements without lists that are written together and share their fate. There is at least one.
        case group([SQL])
        case simple(String)
        case commit
        case copyIn(String)
        case copyOut(String)
    }

    /// Where a request waits, until it is answered.
    protocol Owner: AnyObject {
        /// Called on the event loop when the task of a request is cancelled.
        func cancel(_ request: PendingRequest)
    }

    /// What requests are submitted to.
    protocol Target: AnyObject, Sendable {
        var loop: any EventLoop { get }
        /// Called on the event loop.
        func submit(_ request: PendingRequest)
    }

    let kind: Kind
    /// The statement, resolved by the cache of the event loop.
    @exclusivity(unchecked) var statement: PostgresStatement?
    /// The statements of a group.
    @exclusivity(unchecked) var statements: [PostgresStatement] = []
    /// Whether it was not known whether the statement is fast when it was written.
    @exclusivity(unchecked) var isUnproven = false
    /// `nil` before the request is submitted, and after its answer. Not weak, because that makes retaining the owner slower.
    @exclusivity(unchecked) var owner: (any Owner)?
    /// The data of a COPY.
    var copy: CopyChannel?
    @exclusivity(unchecked) private(set) var isCancelled = false
    @exclusivity(unchecked) private(set) var isFinished = false
    @exclusivity(unchecked) fileprivate var continuation: UnsafeContinuation<StatementResult, any Error>?
    /// The answer, unless a task or an observer has taken it.
    private(set) var result: Result<StatementResult, any Error>?
    private var observer: ((Result<StatementResult, any Error>) -> Void)?

    init(_ kind: Kind) { self.kind = kind }

    /// Creates the request of a statement that stays prepared.
    convenience init(_ sql: SQL) { self.init(.statement(sql.resolvingLists(for: .postgres), keepsPrepared: true)) }

    /// Delivers the answer, unless there was one before.
    func finish(_ result: Result<StatementResult, any Error>) {
        guard !isFinished else { return }
        isFinished = true
        owner = nil
        copy?.finish(result)
        if let observer = observer.take() { return observer(result) }
        guard let continuation = continuation.take() else {
            self.result = result
            return
        }
        continuation.resume(with: result)
    }

    /// Calls a closure with the answer, instead of resuming a task.
    func whenFinished(_ observer: @escaping (Result<StatementResult, any Error>) -> Void) {
        if let result { observer(result) } else { self.observer = observer }
    }

    /// Called on the event loop when the task is cancelled.
    func cancel() {
        guard !isFinished, !isCancelled else { return }
        isCancelled = true
        owner?.cancel(self)
    }

    /// Waits for the answer of a request that was submitted without a waiting task, such as a COPY.
    func answer(on loop: any EventLoop) async throws -> StatementResult {
        try await withUnsafeThrowingContinuation { continuation in
            loop.runNowOrSoon {
                if let result = self.result.take() {
                    continuation.resume(with: result)
                } else {
                    self.continuation = continuation
                }
            }
        }
    }

    /// Submits the request and waits for its answer. Resumes on the event loop if the task runs there.
    /// - Throws: The error of the answer, or `CancellationError`.
    func perform(on target: some Target) async throws -> StatementResult {
        try await withTaskCancellationHandler {
            try await performUncancelled(on: target)
        } onCancel: {
            target.loop.execute { self.cancel() }
        }
    }

    /// Submits the request and waits for its answer, even if the task is cancelled.
    func performUncancelled(on target: some Target) async throws -> StatementResult {
        try await withUnsafeThrowingContinuation { continuation in
            self.continuation = continuation
            if target.loop.inEventLoop { start(target) } else { target.loop.execute { self.start(target) } }
        }
    }

    private func start(_ target: some Target) {
        guard !isCancelled else { return finish(.failure(CancellationError())) }
        target.submit(self)
    }
}

extension EventLoop {
    /// Runs work at once if called on the event loop, otherwise as soon as the loop gets to it.
    func runNowOrSoon(_ work: @escaping @Sendable () -> Void) {
        if inEventLoop { work() } else { execute(work) }
    }
}
