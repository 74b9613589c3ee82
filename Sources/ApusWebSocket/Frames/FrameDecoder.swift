package import NIOCore

/// A violation of the WebSocket protocol by the peer, with the close code and reason to send.
package struct ProtocolViolation: Error, Equatable {
    let code: WebSocketCloseCode
    let reason: String

    static func malformed(_ reason: String) -> Self { Self(code: .protocolError, reason: reason) }
}

/// An incremental decoder of client frames (RFC 6455 §5). Every client frame must be masked.
package struct FrameDecoder: Sendable {
    /// The maximum payload of a frame, in bytes.
    let maxPayload: Int

    package init(maxPayload: Int) { self.maxPayload = maxPayload }

    /// Decodes the next frame.
    /// - Returns: `nil` if the buffer does not hold a complete frame yet; nothing is consumed then.
    package func next(_ buffer: inout ByteBuffer) throws(ProtocolViolation) -> Frame? {
        var reader = buffer
        guard let first: UInt8 = reader.readInteger(), let second: UInt8 = reader.readInteger() else { return nil }
        guard first & 0x70 == 0 else { throw .malformed("A reserved bit is set, but no extension was negotiated.") }
        guard let opcode = Frame.Opcode(rawValue: first & 0x0F) else { throw .malformed("The opcode is unknown.") }
        guard second & 0x80 != 0 else { throw .malformed("Client frames must be masked.") }
        let isFinal = first & 0x80 != 0
        guard !opcode.isControl || (isFinal && second & 0x7F <= 125) else {
            throw .malformed("A control frame must be unfragmented, with a payload of at most 125 bytes.")
        }
        guard let length = try Self.length(second & 0x7F, &reader) else { return nil }
        guard length <= maxPayload else {
            throw ProtocolViolation(
                code: .messageTooBig, reason: "The message exceeds the limit of \(maxPayload) bytes.")
        }
        guard let mask: UInt32 = reader.readInteger(), var payload = reader.readSlice(length: length) else {
            return nil
        }
        Self.unmask(&payload, with: mask)
        buffer = reader
        return Frame(isFinal: isFinal, opcode: opcode, payload: payload)
    }

    private static func length(_ short: UInt8, _ reader: inout ByteBuffer) throws(ProtocolViolation) -> Int? {
        switch short {
        case 126:
            guard let length: UInt16 = reader.readInteger() else { return nil }
            guard length > 125 else { throw .malformed("The payload length is not minimally encoded.") }
            return Int(length)
        case 127:
            guard let length: UInt64 = reader.readInteger() else { return nil }
            guard length > 0xFFFF, length <= UInt64(Int.max) else {
                throw .malformed("The payload length is not minimally encoded, or its most significant bit is set.")
            }
            return Int(length)
        default: return Int(short)
        }
    }

    private static func unmask(_ payload: inout ByteBuffer, with mask: UInt32) {
        payload.withUnsafeMutableReadableBytes { bytes in
            for index in bytes.indices {
                bytes[index] ^= UInt8(truncatingIfNeeded: mask >> UInt32(24 - (index & 3) * 8))
            }
        }
    }
}
