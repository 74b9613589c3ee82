import NIOCore

/// Puts fragments together (RFC 6455 §5.4) and checks what only whole messages can show.
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

    /// What a frame completes, if anything.
    mutating func add(_ frame: Frame) throws(ProtocolViolation) -> Event? {
        switch frame.opcode {
        case .ping: return .ping(frame.payload)
        case .pong: return .pong
        case .close: return try Self.close(frame.payload)
        case .text, .binary:
            guard opcode == nil else { throw .malformed("A message began before the one before it ended.") }
            guard frame.isFinal else {
                opcode = frame.opcode
                payload = frame.payload
                return nil
            }
            return .message(try Self.message(frame.opcode, frame.payload))
        case .continuation:
            guard let opcode else { throw .malformed("A continuation has nothing to continue.") }
            guard payload.readableBytes + frame.payload.readableBytes <= maxMessage else {
                throw ProtocolViolation(code: .tooBig, reason: "A message may have at most \(maxMessage) bytes.")
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
            throw ProtocolViolation(code: .invalidPayload, reason: "A text message must be UTF-8.")
        }
        return .text(text)
    }

    private static func close(_ payload: ByteBuffer) throws(ProtocolViolation) -> Event {
        var payload = payload
        guard payload.readableBytes > 0 else { return .close(nil, "") }
        guard let number: UInt16 = payload.readInteger(), WebSocketCloseCode.mayBeSent(number) else {
            throw .malformed("The close code is not one that may be sent.")
        }
        guard let reason = String(validating: payload.readableBytesView, as: UTF8.self) else {
            throw ProtocolViolation(code: .invalidPayload, reason: "A close reason must be UTF-8.")
        }
        return .close(WebSocketCloseCode(number), reason)
    }
}
