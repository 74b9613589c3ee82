import NIOCore
import Testing

@testable import ApusWebSocket

/// Returns the bytes of a frame as a client sends it.
private func masked(_ first: UInt8, _ payload: [UInt8], mask: [UInt8] = [1, 2, 3, 4]) -> [UInt8] {
    var bytes = [first]
    switch payload.count {
    case ...125: bytes.append(UInt8(payload.count) | 0x80)
    case ...0xFFFF: bytes += [126 | 0x80, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default: bytes += [127 | 0x80] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - $0 * 8)) }
    }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
}

private func decode(_ bytes: [UInt8], maxPayload: Int = 1 << 20) throws -> (Frame?, rest: Int) {
    var buffer = ByteBuffer(bytes: bytes)
    let frame = try FrameDecoder(maxPayload: maxPayload).next(&buffer)
    return (frame, buffer.readableBytes)
}

@Suite struct FrameTests {
    @Test(arguments: [0, 1, 125, 126, 127, 0xFFFF, 0x10000])
    func `Frames with every length encoding are decoded`(size: Int) throws {
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        let (frame, rest) = try decode(masked(0x82, payload))
        #expect(frame == Frame(opcode: .binary, payload: ByteBuffer(bytes: payload)))
        #expect(rest == 0)
    }

    @Test func `A frame truncated at any byte is incomplete and consumes nothing`() throws {
        let bytes = masked(0x81, Array(repeating: 0x61, count: 200))
        for length in 0..<bytes.count {
            let (frame, rest) = try decode(Array(bytes[..<length]))
            #expect(frame == nil)
            #expect(rest == length)
        }
    }

    @Test(arguments: [
        ([0xC1, 0x80, 0, 0, 0, 0], WebSocketCloseCode.protocolError),  // a reserved bit
        ([0x83, 0x80, 0, 0, 0, 0], .protocolError),  // an unknown opcode
        ([0x81, 0x01, 0x61], .protocolError),  // not masked
        ([0x09, 0x80, 0, 0, 0, 0], .protocolError),  // a fragmented ping
        ([0x89, 0xFE, 0, 126], .protocolError),  // a ping that is too long
        ([0x81, 0xFE, 0, 5, 0, 0, 0, 0], .protocolError),  // a length that is not minimally encoded
        ([0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .protocolError),
        ([0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .protocolError),  // a negative length
        ([0x81, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0], .messageTooBig),
    ])
    func `Frames that violate the protocol are rejected before their payload has arrived`(
        bytes: [UInt8], code: WebSocketCloseCode
    ) throws {
        let violation = #expect(throws: ProtocolViolation.self) { try decode(bytes) }
        #expect(violation?.code == code)
    }

    @Test(arguments: [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, .max] as [UInt16])
    func `A number that must not be sent is not a close code, and is rejected when received`(number: UInt16) {
        #expect(WebSocketCloseCode(number) == nil)
        var assembler = MessageAssembler(maxMessage: 100)
        let frame = Frame(opcode: .close, payload: ByteBuffer(integer: number))
        let violation = #expect(throws: ProtocolViolation.self) { try assembler.add(frame) }
        #expect(violation?.code == .protocolError)
    }

    @Test(arguments: [1000, 1003, 1007, 1014, 3000, 4000, 4999] as [UInt16])
    func `A number that may be sent is a close code`(number: UInt16) throws {
        #expect(WebSocketCloseCode(number)?.number == number)
        var assembler = MessageAssembler(maxMessage: 100)
        let event = try assembler.add(Frame(opcode: .close, payload: ByteBuffer(integer: number)))
        #expect(event == .close(WebSocketCloseCode(number), ""))
    }

    @Test(arguments: [-1, 0, 1]) func `The size limit is exact`(difference: Int) {
        let bytes = masked(0x81, Array(repeating: 0x61, count: 200 + difference))
        #expect((try? decode(bytes, maxPayload: 200)) == nil ? difference > 0 : difference <= 0)
    }

    @Test func `Fragments are assembled, with control frames in between`() throws {
        var assembler = MessageAssembler(maxMessage: 100)
        #expect(try assembler.add(Frame(isFinal: false, opcode: .text, payload: ByteBuffer(string: "Gr\u{FC}"))) == nil)
        #expect(
            try assembler.add(Frame(opcode: .ping, payload: ByteBuffer(string: "p"))) == .ping(ByteBuffer(string: "p")))
        #expect(
            try assembler.add(Frame(opcode: .continuation, payload: ByteBuffer(string: "ße")))
                == .message(.text("Grüße")))
    }

    @Test func `Fragments that are out of order, too large or not UTF-8 are rejected`() throws {
        var assembler = MessageAssembler(maxMessage: 5)
        #expect(throws: ProtocolViolation.self) { try assembler.add(Frame(opcode: .continuation)) }
        _ = try assembler.add(Frame(isFinal: false, opcode: .text, payload: ByteBuffer(string: "abc")))
        #expect(throws: ProtocolViolation.self) { try assembler.add(Frame(opcode: .text)) }
        let messageTooBig = #expect(throws: ProtocolViolation.self) {
            try assembler.add(Frame(opcode: .continuation, payload: ByteBuffer(string: "def")))
        }
        #expect(messageTooBig?.code == .messageTooBig)
        var other = MessageAssembler(maxMessage: 5)
        let invalid = #expect(throws: ProtocolViolation.self) {
            try other.add(Frame(opcode: .text, payload: ByteBuffer(bytes: [0xC3, 0x28])))
        }
        #expect(invalid?.code == .invalidPayload)
    }

    @Test func `The accept key matches the example of RFC 6455`() {
        #expect(Handshake.accept(key: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
}
