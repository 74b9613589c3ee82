import NIOCore

extension HubMember {
    /// What a member without a socket receives, a part of the service itself.
    public enum Received: Sendable, Equatable {
        case message(WebSocketMessage)
        /// Messages of other processes may have been lost, in a hub that is shared.
        case gap
    }

    /// Returns what comes next, for a member without a socket. Only one task may receive at a time.
    ///
    /// ```swift
    /// await hub.join(.prices) { member in
    ///     while let received = try await member.receive() {
    ///         if case .message(let message) = received { prices.apply(try message.decode(Price.self)) }
    ///     }
    /// }
    /// ```
    /// - Returns: `nil` once the member has left the room.
    /// - Throws: `CancellationError`, or an `AppError` with code `resourceExhausted` under ``Overflow/disconnect``.
    public func receive() async throws -> Received? {
        switch try await next() {
        case .frame(let frame): .message(WebSocketMessage(encoded: frame))
        case .gap: .gap
        case nil: nil
        }
    }
}

extension WebSocketMessage {
    /// Reads a message from the frame that was encoded for clients.
    init(encoded frame: ByteBuffer) {
        var frame = frame
        let first: UInt8 = frame.readInteger() ?? 0
        let length: UInt8 = frame.readInteger() ?? 0
        // The lengths 126 and 127 stand for those in the next two or eight bytes (RFC 6455 §5.2).
        frame.moveReaderIndex(forwardBy: length == 126 ? 2 : length == 127 ? 8 : 0)
        self = first & 0x0F == Frame.Opcode.binary.rawValue ? .binary(frame) : .text(String(buffer: frame))
    }
}
