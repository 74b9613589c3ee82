import NIOCore
import Testing

@testable import ApusPostgres

struct MessageReaderTests {
    private let stream = ServerMessage.parseComplete + ServerMessage.complete("SELECT 1") + ServerMessage.ready()

    @Test func `Messages that are cut anywhere are put together`() throws {
        for first in 0...stream.count {
            for second in first...stream.count {
                var reader = MessageReader(maximumLength: 1000)
                var kinds: [UInt8] = []
                for piece in [stream[..<first], stream[first..<second], stream[second...]] {
                    reader.append(ByteBuffer(bytes: piece))
                    try reader.read {
                        kinds.append($0.kind)
                        return true
                    }
                }
                #expect(kinds == [.parseComplete, .commandComplete, .readyForQuery])
                #expect(!reader.isInMessage)
            }
        }
    }

    @Test(arguments: [0, 3, 1001, UInt32.max])
    func `A message whose length is not possible is rejected`(length: UInt32) {
        var reader = MessageReader(maximumLength: 1000)
        reader.append(ByteBuffer(bytes: [UInt8(ascii: "D")] + ServerMessage.integer(length)))
        #expect(throws: ProtocolViolation.self) { try reader.read { _ in true } }
    }

    @Test func `A message of exactly the maximum length is accepted`() throws {
        var reader = MessageReader(maximumLength: 1000)
        reader.append(ByteBuffer(bytes: ServerMessage.bytes("D", [UInt8](repeating: 0, count: 996))))
        var lengths: [Int] = []
        try reader.read {
            lengths.append($0.bytes.count)
            return true
        }
        #expect(lengths == [996])
    }

    @Test func `A short kind of message must be short whatever the maximum`() {
        var reader = MessageReader(maximumLength: .max)
        reader.append(ByteBuffer(bytes: [UInt8(ascii: "Z")] + ServerMessage.integer(UInt32(1 << 20))))
        #expect(throws: ProtocolViolation.self) { try reader.read { _ in true } }
    }
}

struct FrontendMessageTests {
    private func written(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
        var output = ByteBuffer()
        body(&output)
        return output.array
    }

    @Test func `Messages are encoded as the protocol says`() {
        #expect(
            written { FrontendMessage.startup([("user", "u")], to: &$0) }
                == [0, 0, 0, 16, 0, 3, 0, 0] + Array("user\0u\0\0".utf8))
        #expect(written { FrontendMessage.tlsRequest(to: &$0) } == [0, 0, 0, 8, 4, 210, 22, 47])
        #expect(
            written { FrontendMessage.cancelRequest(BackendKey(process: 1, secret: 2), to: &$0) }
                == [0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2])
        #expect(written { FrontendMessage.query("x", to: &$0) } == Array("Q\0\0\0\u{6}x\0".utf8))
        #expect(
            written { FrontendMessage.parse("n", "s", types: [23], to: &$0) }
                == Array("P\0\0\0\u{E}n\0s\0".utf8) + [0, 1, 0, 0, 0, 23])
        #expect(written { FrontendMessage.closeStatement("n", to: &$0) } == Array("C\0\0\0\u{7}Sn\0".utf8))
        #expect(FrontendMessage.execute == Array("E\0\0\0\u{9}\0\0\0\0\0".utf8))
        #expect(FrontendMessage.sync == Array("S\0\0\0\u{4}".utf8))
        #expect(written { FrontendMessage.copyData([1, 2], to: &$0) } == Array("d\0\0\0\u{6}".utf8) + [1, 2])
    }
}
