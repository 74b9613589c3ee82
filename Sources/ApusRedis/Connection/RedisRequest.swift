import NIOCore
import Synchronization

/// Who waits for a reply. Resumed exactly once: it is taken out of its slot, or of the queue of commands that wait for a
/// connection, before it is resumed.
enum ReplyContinuation: Sendable {
    case task(UnsafeContinuation<RedisValue, any Error>)
    case promise(EventLoopPromise<RedisValue>)

    func resume(returning value: RedisValue) {
        switch self {
        case .task(let continuation): continuation.resume(returning: value)
        case .promise(let promise): promise.succeed(value)
        }
    }

    func resume(throwing error: any Error) {
        switch self {
        case .task(let continuation): continuation.resume(throwing: error)
        case .promise(let promise): promise.fail(error)
        }
    }
}

/// What a task sends: commands, who waits for the reply and how long.
struct RedisRequest: Sendable {
    enum Content: Sendable {
        /// One command with one reply.
        case command(RedisCommand)
        /// Commands that are written without others between them. The reply is an array of their replies.
        case group([RedisCommand])
        /// A change of subscriptions, which is confirmed for each channel.
        case subscription(RedisCommand, PushMessage.Kind, isSubscribing: Bool, Int)
        /// PING, which must be answered by PONG.
        case ping

        /// Whether what is written is larger than a limit.
        func exceeds(bytes limit: Int) -> Bool {
            switch self {
            case .command(let command): command.size > limit
            case .group(let commands): commands.reduce(0) { $0 + $1.size } > limit
            case .subscription, .ping: false
            }
        }
    }

    let content: Content
    var node = NodeID.primary
    /// Whether the command waits for a connection even if the client fails fast.
    var waitsWhileAway = false
    let deadline: ContinuousClock.Instant?
    /// Identifies the request when it is cancelled.
    let ticket: UInt64
    /// Set before a cancellation is sent to the event loop, which may arrive there before the request.
    let cancellation: CancellationFlag?

    var isCancelled: Bool { cancellation?.isCancelled ?? false }
}

/// Whether a request was cancelled.
final class CancellationFlag: Sendable {
    private let flag = Atomic(false)

    var isCancelled: Bool { flag.load(ordering: .sequentiallyConsistent) }

    func cancel() { flag.store(true, ordering: .sequentiallyConsistent) }
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

    /// Returns a number for a request, unique for this target. Called from any thread.
    func nextTicket() -> UInt64

    /// Sends a request, and resumes the continuation with its reply. Called on the event loop.
    func submit(_ request: RedisRequest, _ continuation: ReplyContinuation)

    /// Fails a request whose task was cancelled, if it has not been answered. Called on the event loop.
    func cancel(ticket: UInt64)
}

extension RequestTarget {
    /// Sends a request and waits for its reply.
    /// - Throws: `CancellationError`, an `AppError` with code `deadlineExceeded`, or an `AppError` with code
    ///   `unavailable` if the reply cannot come.
    func perform(
        _ content: RedisRequest.Content, node: NodeID = .primary, waitsWhileAway: Bool = false,
        deadline: ContinuousClock.Instant?
    ) async throws -> RedisValue {
        try Task.checkCancellation()
        let ticket = nextTicket()
        guard eventLoop.inEventLoop else {
            let flag = CancellationFlag()
            let request = RedisRequest(
                content: content, node: node, waitsWhileAway: waitsWhileAway, deadline: deadline, ticket: ticket,
                cancellation: flag)
            return try await withTaskCancellationHandler {
                try await withUnsafeThrowingContinuation { continuation in
                    eventLoop.execute { self.submit(request, .task(continuation)) }
                }
            } onCancel: {
                flag.cancel()
                eventLoop.execute { self.cancel(ticket: ticket) }
            }
        }
        let request = RedisRequest(
            content: content, node: node, waitsWhileAway: waitsWhileAway, deadline: deadline, ticket: ticket,
            cancellation: nil)
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in submit(request, .task(continuation)) }
        } onCancel: {
            eventLoop.execute { self.cancel(ticket: ticket) }
        }
    }
}
