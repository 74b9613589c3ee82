package import NIOCore

/// Why a connection is ended by the one who reads: the close code and the words that go with it.
package struct ProtocolViolation: Error, Equatable {
    let code: WebSocketCloseCode
    let reason: String

    static func malformed(_ reason: String) -> Self { Self(code: .protocolError, reason: reason) }
}

/// Reads frames of a client, incrementally (RFC 6455 §5). Every client frame must be masked.
package struct FrameDecoder: Sendable {
    /// The most payload bytes of one frame.
    let maxPayload: Int

    package init(maxPayload: Int) { self.maxPayload = maxPayload }

    /// The next whole frame, or `nil` until it is here.
    package func next(_ buffer: inout ByteBuffer) throws(ProtocolViolation) -> Frame? {
        var reader = buffer
        guard let first: UInt8 = reader.readInteger(), let second: UInt8 = reader.readInteger() else { return nil }
        guard first & 0x70 == 0 else { throw .malformed("A reserved bit is set.") }
        guard let opcode = Frame.Opcode(rawValue: first & 0x0F) else { throw .malformed("The opcode is unknown.") }
        guard second & 0x80 != 0 else { throw .malformed("A client's frames must be masked.") }
        let isFinal = first & 0x80 != 0
        guard !opcode.isControl || (isFinal && second & 0x7F <= 125) else {
            throw .malformed("A control frame must be whole and have at most 125 bytes.")
        }
        guard let length = try Self.length(second & 0x7F, &reader) else { return nil }
        guard length <= maxPayload else {
            throw ProtocolViolation(code: .tooBig, reason: "A message may have at most \(maxPayload) bytes.")
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
            guard length > 125 else { throw .malformed("The length is not in its shortest form.") }
            return Int(length)
        case 127:
            guard let length: UInt64 = reader.readInteger() else { return nil }
            guard length > 0xFFFF, length <= UInt64(Int.max) else {
                throw .malformed("The length is not in its shortest form.")
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
