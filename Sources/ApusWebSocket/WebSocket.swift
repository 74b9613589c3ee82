import ApusCore
import ApusHTTP
import NIOCore
import Synchronization

/// One WebSocket connection.
///
/// Iterate to receive messages; send from any task. Pings are answered and the closing handshake is completed only
/// while a task is receiving, so a handler that only sends should still iterate.
///
/// ```swift
/// routes.webSocket("echo") { socket in
///     for try await message in socket { try await socket.send(message) }
/// }
/// ```
public final class WebSocket: Sendable {
    private struct State {
        var inbound = ByteBuffer()
        var assembler: MessageAssembler
        var sentClose = false
        var receivedClose = false
        var lastReceived: Duration
        var closeTimer: Task<Void, Never>?
    }

    private let stream: any ByteStream
    private let decoder: FrameDecoder
    private let closeTimeout: Duration
    private let clock: any WallClock
    private let state: Mutex<State>

    init(_ stream: any ByteStream, _ options: WebSocketOptions, clock: any WallClock) {
        self.stream = stream
        self.clock = clock
        closeTimeout = options.closeTimeout
        decoder = FrameDecoder(maxPayload: options.maxMessageBytes)
        state = Mutex(
            State(assembler: MessageAssembler(maxMessage: options.maxMessageBytes), lastReceived: clock.uptime))
    }

    // MARK: Sending

    /// Sends a message. Suspends while the client does not keep up.
    /// - Throws: An `AppError` with code `cancelled` if the connection is closed.
    public func send(_ message: WebSocketMessage) async throws {
        try await send(encoded: WebSocket.encode(message))
    }

    /// Sends a text message.
    public func send(_ text: String) async throws { try await send(.text(text)) }

    /// Starts the closing handshake. The connection ends when the client responds, or after
    /// ``WebSocketOptions/closeTimeout``.
    /// - Parameter reason: Truncated to 123 bytes.
    public func close(_ code: WebSocketCloseCode = .normal, reason: String = "") async {
        guard
            state.withLock({ state in
                defer { state.sentClose = true }
                return !state.sentClose
            })
        else { return }
        // Started before the close frame is written, because a client that does not read can block the write. A
        // separate task, because no other task may be waiting for the connection to end; cancelled when the session
        // ends.
        let timer = Task { [stream, clock, closeTimeout] in
            guard (try? await clock.sleep(for: closeTimeout)) != nil else { return }
            stream.close()
        }
        state.withLock { $0.closeTimer = timer }
        var payload = ByteBuffer()
        payload.writeInteger(code.number)
        payload.writeString(Self.truncate(reason, toBytes: 123))
        try? await stream.write(Frame(opcode: .close, payload: payload).encoded())
    }

    func send(encoded frame: ByteBuffer) async throws {
        guard !state.withLock({ $0.sentClose }) else { throw AppError(.cancelled, "The WebSocket is closed.") }
        try await stream.write(frame)
    }

    /// Returns the encoded frame of a message, which can be sent on any number of connections.
    static func encode(_ message: WebSocketMessage) -> ByteBuffer {
        switch message {
        case .text(let text): Frame(opcode: .text, payload: ByteBuffer(string: text)).encoded()
        case .binary(let bytes): Frame(opcode: .binary, payload: bytes).encoded()
        }
    }

    /// Returns the encoded frame of a text message with a value as JSON.
    static func encode(json value: some Encodable) throws -> ByteBuffer {
        Frame(opcode: .text, payload: try JSONCoding.encode(value)).encoded()
    }

    private static func truncate(_ text: String, toBytes bytes: Int) -> String {
        var text = text
        while text.utf8.count > bytes { text.removeLast() }
        return text
    }

    // MARK: Receiving

    /// Returns the next message, or `nil` once the connection is closed. Only one task may receive at a time.
    public func receive() async throws -> WebSocketMessage? {
        while true {
            do throws(ProtocolViolation) {
                if let event = try nextEvent() {
                    if let message = await handle(event) { return message }
                    if state.withLock({ $0.receivedClose }) { return nil }
                    continue
                }
            } catch {
                await close(error.code, reason: error.reason)
                state.withLock { $0.receivedClose = true }
                return nil
            }
            guard let bytes = try await stream.read() else {
                state.withLock { $0.receivedClose = true }
                return nil
            }
            state.withLock { state in
                state.lastReceived = clock.uptime
                state.inbound.appendReclaiming(bytes)
            }
        }
    }

    private func nextEvent() throws(ProtocolViolation) -> MessageAssembler.Event? {
        let result = state.withLock { state in
            Result { () throws(ProtocolViolation) -> MessageAssembler.Event? in
                guard !state.receivedClose else { return .close(nil, "") }
                while let frame = try decoder.next(&state.inbound) {
                    if let event = try state.assembler.add(frame) { return event }
                }
                return nil
            }
        }
        return try result.get()
    }

    private func handle(_ event: MessageAssembler.Event) async -> WebSocketMessage? {
        switch event {
        case .message(let message): return message
        case .ping(let payload):
            try? await stream.write(Frame(opcode: .pong, payload: payload).encoded())
        case .pong: break
        case .close(let code, let reason):
            state.withLock { $0.receivedClose = true }
            await close(code ?? .normal, reason: reason)
        }
        return nil
    }

    // MARK: Lifetime

    /// Pings the client until it stops responding, its time is up, or the task is cancelled.
    /// - Parameter timeLeft: How long the client may stay connected. It is checked between pings instead of with a
    ///   sleep of its own, because a cancelled `Task.sleep` keeps its timer until it would have fired, possibly hours
    ///   later.
    func keepAlive(every interval: Duration, timeout: Duration, timeLeft: Duration?) async {
        let end = timeLeft.map { clock.uptime + $0 }
        do {
            while true {
                try await sleep(for: interval, until: end)
                let pingedAt = clock.uptime
                if let end, pingedAt >= end {
                    return await close(.policyViolation, reason: "The token has expired.")
                }
                try await stream.write(Frame(opcode: .ping).encoded())
                try await sleep(for: timeout, until: end)
                guard !state.withLock({ $0.sentClose }) else { return }
                // Bytes that arrived but were not read, because the handler is busy, also show that the client is
                // alive.
                let isAlive = state.withLock { $0.lastReceived >= pingedAt } || stream.hasUnreadBytes
                guard isAlive || clock.uptime - pingedAt < timeout else { return stream.close() }
            }
        } catch { return }
    }

    private func sleep(for duration: Duration, until end: Duration?) async throws {
        let remaining = end.map { Swift.max(.zero, $0 - clock.uptime) } ?? duration
        try await clock.sleep(for: Swift.min(duration, remaining))
    }

    /// Closes the connection and waits for the client's close frame, for at most ``WebSocketOptions/closeTimeout``.
    func finish(_ code: WebSocketCloseCode, reason: String) async {
        await close(code, reason: reason)
        while !state.withLock({ $0.receivedClose }), (try? await receive()) != nil {}
    }

    /// Cancels the timer that ends the connection after a close. Called when the session has ended.
    func cancelCloseTimer() { state.withLock { $0.closeTimer.take() }?.cancel() }

    func onDrain(_ action: @escaping @Sendable () -> Void) { stream.onDrain(action) }
}

extension WebSocket: AsyncSequence {
    public typealias Element = WebSocketMessage

    public func makeAsyncIterator() -> Iterator { Iterator(socket: self) }

    /// An iterator over the received messages.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: WebSocket

        public func next() async throws -> WebSocketMessage? { try await socket.receive() }
    }
}
