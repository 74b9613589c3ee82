import NIOCore

/// Assembles messages from fragments (RFC 6455 §5.4) and validates what can only be checked on a complete message.
struct MessageAssembler: Sendable {
    enum Event: Equatable {
        case message(WebSocketMessage)
        case ping(ByteBuffer)
        case pong
        case close(WebSocketCloseCode?, String)
    }

    let maxMessage: Int
    private var opcode: Frame.Opcode?
    private var payload = ByteBuffer()

    init(maxMessage: Int) { self.maxMessage = maxMessage }

    /// Adds a frame.
    /// - Returns: The event that the frame completes, if any.
    mutating func add(_ frame: Frame) throws(ProtocolViolation) -> Event? {
        switch frame.opcode {
        case .ping: return .ping(frame.payload)
        case .pong: return .pong
        case .close: return try Self.close(frame.payload)
        case .text, .binary:
            guard opcode == nil else { throw .malformed("A new message started before the previous one was complete.") }
            guard frame.isFinal else {
                opcode = frame.opcode
                payload = frame.payload
                return nil
            }
            return .message(try Self.message(frame.opcode, frame.payload))
        case .continuation:
            guard let opcode else { throw .malformed("A continuation frame arrived without a message to continue.") }
            guard payload.readableBytes + frame.payload.readableBytes <= maxMessage else {
                throw ProtocolViolation(
                    code: .messageTooBig, reason: "The message exceeds the limit of \(maxMessage) bytes.")
            }
            payload.writeImmutableBuffer(frame.payload)
            guard frame.isFinal else { return nil }
            defer {
                self.opcode = nil
                payload = ByteBuffer()
            }
            return .message(try Self.message(opcode, payload))
        }
    }

    private static func message(
        _ opcode: Frame.Opcode, _ payload: ByteBuffer
    ) throws(ProtocolViolation) -> WebSocketMessage {
        guard opcode == .text else { return .binary(payload) }
        guard let text = String(validating: payload.readableBytesView, as: UTF8.self) else {
            throw ProtocolViolation(code: .invalidPayload, reason: "A text message must be valid UTF-8.")
        }
        return .text(text)
    }

    private static func close(_ payload: ByteBuffer) throws(ProtocolViolation) -> Event {
        var payload = payload
        guard payload.readableBytes > 0 else { return .close(nil, "") }
        guard let number: UInt16 = payload.readInteger(), let code = WebSocketCloseCode(number) else {
            throw .malformed("The close frame has no valid close code.")
        }
        guard let reason = String(validating: payload.readableBytesView, as: UTF8.self) else {
            throw ProtocolViolation(code: .invalidPayload, reason: "A close reason must be valid UTF-8.")
        }
        return .close(code, reason)
    }
}
