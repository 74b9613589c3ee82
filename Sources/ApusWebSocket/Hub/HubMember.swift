import ApusCore
import NIOCore
import Synchronization

/// A membership in a room, with a bounded queue of messages for one client.
public final class HubMember: Sendable {
    /// What a member gets next.
    enum Event: Sendable, Equatable {
        case frame(ByteBuffer)
        /// Messages of other processes may have been lost.
        case gap
    }

    private struct State {
        var queue: CircularBuffer<(frame: ByteBuffer, key: String?)> = []
        /// The number of queued frames before the gap; `nil` without a gap.
        var framesBeforeGap: Int?
        var reader: CheckedContinuation<Event?, any Error>?
        var dropped = 0
        var hasLeft = false
        var hasOverflowed = false

        mutating func popFirst() -> Event? {
            if framesBeforeGap == 0 {
                framesBeforeGap = nil
                return .gap
            }
            guard let first = queue.popFirst() else { return nil }
            framesBeforeGap = framesBeforeGap.map { $0 - 1 }
            return .frame(first.frame)
        }

        mutating func dropFirst() {
            queue.removeFirst()
            framesBeforeGap = framesBeforeGap.map { max(0, $0 - 1) }
        }
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
            state.framesBeforeGap = nil
            return state.reader.take()
        }
        reader?.resume(returning: nil)
        onLeave(self)
    }

    /// Sends the room's messages to the socket and passes the client's messages to `receive`, until either side ends.
    ///
    /// ```swift
    /// try await hub.join(order) { member in
    ///     try await socket.send(json: snapshot())
    ///     try await member.relay(socket, resync: { try await socket.send(json: snapshot()) })
    /// }
    /// ```
    /// - Parameters:
    ///   - receive: Called with each message from the client, in order. An error that it throws ends the relay.
    ///   - resync: Called when messages of other processes may have been lost, in a hub that is shared: after the messages
    ///     before the gap were sent, and before those after it. Send the client the current state again. By default
    ///     nothing happens. An error that it throws ends the relay.
    /// - Throws: An `AppError` with code `resourceExhausted` if the member did not keep up under
    ///   ``Overflow/disconnect``; errors of the socket, of `receive` and of `resync`.
    public func relay(
        _ socket: WebSocket, receive: @escaping @Sendable (WebSocketMessage) async throws -> Void = { _ in },
        resync: @escaping @Sendable () async throws -> Void = {}
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addImmediateTask {
                while let event = try await self.next() {
                    switch event {
                    case .frame(let frame): try await socket.send(encoded: frame)
                    case .gap: try await resync()
                    }
                }
            }
            group.addImmediateTask { for try await message in socket { try await receive(message) } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    func push(_ frame: ByteBuffer, key: String?) {
        let (reader, hasOverflowed) = state.withLock { state -> (CheckedContinuation<Event?, any Error>?, Bool) in
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
                state.dropFirst()
                state.queue.append((frame, key))
            case .dropNewest: break
            case .disconnect:
                state.hasOverflowed = true
                state.queue.removeAll()
                state.framesBeforeGap = nil
            }
            return (nil, state.hasOverflowed)
        }
        reader?.resume(returning: .frame(frame))
        if hasOverflowed { onLeave(self) }
    }

    /// Adds a gap behind the queued messages, unless there is one that the reader has not reached yet: it is going to read
    /// the current state after this one as well.
    func pushGap() {
        let reader = state.withLock { state -> CheckedContinuation<Event?, any Error>? in
            guard !state.hasLeft, !state.hasOverflowed else { return nil }
            if let reader = state.reader.take() { return reader }
            if state.framesBeforeGap == nil { state.framesBeforeGap = state.queue.count }
            return nil
        }
        reader?.resume(returning: .gap)
    }

    /// Returns what comes next, or `nil` once the member has left.
    func next() async throws -> Event? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in wait(continuation) }
        } onCancel: {
            state.withLock { $0.reader.take() }?.resume(throwing: CancellationError())
        }
    }

    private func wait(_ continuation: CheckedContinuation<Event?, any Error>) {
        let result: Result<Event?, any Error>? = state.withLock { state in
            if Task.isCancelled { return .failure(CancellationError()) }
            if state.hasLeft { return .success(nil) }
            if state.hasOverflowed {
                return .failure(
                    AppError(.resourceExhausted, "The client did not keep up with the messages of the room."))
            }
            if let first = state.popFirst() { return .success(first) }
            state.reader = continuation
            return nil
        }
        if let result { continuation.resume(with: result) }
    }
}
