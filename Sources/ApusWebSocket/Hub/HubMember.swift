import ApusCore
import NIOCore
import Synchronization

/// A membership in a room, with a bounded queue of messages for one client.
public final class HubMember: Sendable {
    private struct State {
        var queue: CircularBuffer<(frame: ByteBuffer, key: String?)> = []
        var reader: CheckedContinuation<ByteBuffer?, any Error>?
        var dropped = 0
        var hasLeft = false
        var hasOverflowed = false
    }

    private let capacity: Int
    private let overflow: Overflow
    private let onLeave: @Sendable (HubMember) -> Void
    private let state = Mutex(State())

    init(capacity: Int, overflow: Overflow, onLeave: @escaping @Sendable (HubMember) -> Void) {
        self.capacity = max(1, capacity)
        self.overflow = overflow
        self.onLeave = onLeave
    }

    /// The number of messages that were dropped or replaced because the client did not keep up.
    public var dropped: Int { state.withLock { $0.dropped } }

    /// Leaves the room and discards the queued messages.
    func leave() {
        let reader = state.withLock { state in
            state.hasLeft = true
            state.queue.removeAll()
            return state.reader.take()
        }
        reader?.resume(returning: nil)
        onLeave(self)
    }

    /// Sends the room's messages to the socket and passes the client's messages to `receive`, until either side ends.
    /// - Parameter receive: Called with each message from the client, in order. An error that it throws ends the relay.
    /// - Throws: An `AppError` with code `resourceExhausted` if the member did not keep up under
    ///   ``Overflow/disconnect``; errors of the socket and of `receive`.
    public func relay(
        _ socket: WebSocket, receive: @escaping @Sendable (WebSocketMessage) async throws -> Void = { _ in }
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addImmediateTask { while let frame = try await self.next() { try await socket.send(encoded: frame) } }
            group.addImmediateTask { for try await message in socket { try await receive(message) } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    func push(_ frame: ByteBuffer, key: String?) {
        let (reader, hasOverflowed) = state.withLock { state -> (CheckedContinuation<ByteBuffer?, any Error>?, Bool) in
            guard !state.hasLeft, !state.hasOverflowed else { return (nil, false) }
            if let reader = state.reader.take() { return (reader, false) }
            if overflow == .latestWins, let key, let index = state.queue.lastIndex(where: { $0.key == key }) {
                state.queue[index] = (frame, key)
                state.dropped += 1
                return (nil, false)
            }
            guard state.queue.count >= capacity else {
                state.queue.append((frame, key))
                return (nil, false)
            }
            state.dropped += 1
            switch overflow {
            case .latestWins:
                state.queue.removeFirst()
                state.queue.append((frame, key))
            case .dropNewest: break
            case .disconnect:
                state.hasOverflowed = true
                state.queue.removeAll()
            }
            return (nil, state.hasOverflowed)
        }
        reader?.resume(returning: frame)
        if hasOverflowed { onLeave(self) }
    }

    /// Returns the next frame to send, or `nil` once the member has left.
    func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in wait(continuation) }
        } onCancel: {
            state.withLock { $0.reader.take() }?.resume(throwing: CancellationError())
        }
    }

    private func wait(_ continuation: CheckedContinuation<ByteBuffer?, any Error>) {
        let result: Result<ByteBuffer?, any Error>? = state.withLock { state in
            if Task.isCancelled { return .failure(CancellationError()) }
            if state.hasLeft { return .success(nil) }
            if state.hasOverflowed {
                return .failure(
                    AppError(.resourceExhausted, "The client did not keep up with the messages of the room."))
            }
            if let first = state.queue.popFirst() { return .success(first.frame) }
            state.reader = continuation
            return nil
        }
        if let result { continuation.resume(with: result) }
    }
}
