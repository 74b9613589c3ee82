import ApusCore
import NIOCore
import ServiceContextModule

/// Commands that are sent together, and who waits for the reply.
///
/// `@unchecked Sendable`: the mutable properties are accessed only on the event loop of what the request is submitted to,
/// apart from the waiter, which is set before.
final class RedisRequest: @unchecked Sendable {
    enum Content: Sendable {
        /// One command with one reply.
        case command(RedisCommand)
        /// Commands that are written without others between them. The reply is an array of their replies.
        case group([RedisCommand])
        /// A change of subscriptions, which is confirmed for each channel.
        case subscription(RedisCommand, PushMessage.Kind, isSubscribing: Bool, Int)

        /// Whether what is written is larger than a limit.
        func exceeds(bytes limit: Int) -> Bool {
            switch self {
            case .command(let command): command.size > limit
            case .group(let commands): commands.reduce(0) { $0 + $1.size } > limit
            case .subscription: false
            }
        }
    }

    private enum Waiter {
        case task(UnsafeContinuation<RedisValue, any Error>)
        case promise(EventLoopPromise<RedisValue>)
    }

    /// Where a request waits for its reply or for a connection.
    protocol Owner: AnyObject {
        /// Fails a request whose task was cancelled, if it has not been answered. Called on the event loop.
        func cancel(_ request: RedisRequest)
    }

    let content: Content
    let node: NodeID
    /// Whether the command waits for a connection even if the client fails fast.
    let waitsWhileAway: Bool
    let deadline: NIODeadline?
    /// `nil` before the request is submitted, and after its answer.
    @exclusivity(unchecked) var owner: (any Owner)?
    @exclusivity(unchecked) private(set) var isCancelled = false
    @exclusivity(unchecked) private var waiter: Waiter?

    init(_ content: Content, node: NodeID = .primary, waitsWhileAway: Bool = false, deadline: NIODeadline?) {
        self.content = content
        self.node = node
        self.waitsWhileAway = waitsWhileAway
        self.deadline = deadline
    }

    /// Creates a request without a deadline whose reply completes a promise.
    init(_ content: Content, _ promise: EventLoopPromise<RedisValue>) {
        self.content = content
        node = .primary
        waitsWhileAway = false
        deadline = nil
        waiter = .promise(promise)
    }

    /// Passes on the reply, or why there is none.
    func finish(_ result: Result<RedisValue, any Error>) {
        owner = nil
        switch waiter.take() {
        case .task(let continuation)?: continuation.resume(with: result)
        case .promise(let promise)?: promise.completeWith(result)
        case nil: break
        }
    }

    /// Called on the event loop when the task is cancelled, maybe before the request is submitted.
    fileprivate func cancel() {
        isCancelled = true
        owner?.cancel(self)
    }

    /// Submits the request, whose reply resumes a task.
    fileprivate func submit(to target: some RequestTarget, _ continuation: UnsafeContinuation<RedisValue, any Error>) {
        waiter = .task(continuation)
        let eventLoop = target.eventLoop
        if eventLoop.inEventLoop { submit(to: target) } else { eventLoop.execute { self.submit(to: target) } }
    }

    private func submit(to target: some RequestTarget) {
        if isCancelled { finish(.failure(CancellationError())) } else { target.submit(self) }
    }
}

/// A server of a client.
enum NodeID: Hashable, Sendable {
    /// The only server, or the one that Sentinel names.
    case primary
    /// A server of a cluster.
    case member(RedisEndpoint)
}

/// Something on an event loop that takes requests.
protocol RequestTarget: AnyObject, Sendable {
    var eventLoop: any EventLoop { get }

    /// Sends a request, and finishes it with its reply. Called on the event loop.
    func submit(_ request: RedisRequest)
}

extension RequestTarget {
    /// Sends commands and waits for the reply.
    /// - Throws: `CancellationError`, an `AppError` with code `deadlineExceeded`, or an `AppError` with code
    ///   `unavailable` if the reply cannot come.
    // Inlined, because each asynchronous call costs about as much as writing the command.
    @inline(__always)
    func perform(
        _ content: RedisRequest.Content, node: NodeID = .primary, waitsWhileAway: Bool = false, deadline: NIODeadline?
    ) async throws -> RedisValue {
        try Task.checkCancellation()
        let request = RedisRequest(content, node: node, waitsWhileAway: waitsWhileAway, deadline: deadline)
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { request.submit(to: self, $0) }
        } onCancel: {
            eventLoop.execute { request.cancel() }
        }
    }
}

extension Deadline {
    /// The deadline on the clock of event loops, whose instants are smaller than those of `ContinuousClock` and copied
    /// without a call of the runtime.
    var onEventLoop: NIODeadline { .now() + TimeAmount(max(.zero, remaining)) }

    /// The deadline of the current task on the clock of event loops.
    static var currentOnEventLoop: NIODeadline? { ServiceContext.current?.deadline?.onEventLoop }
}
