import NIOCore
import NIOHPACK
import Testing

@testable import ApusServer

/// Reading and writing of frames.
@Suite struct FrameTests {
    private static let settings = frame(4, 0, 0, [])

    private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(UInt32(payload.count) << 8 | UInt32(type), flags, stream)
        return Array(bytes.readableBytesView) + payload
    }

    /// Reads bytes in pieces, and returns the frames and the failure, if any.
    private func read(_ pieces: [[UInt8]]) -> (frames: [FrameReader.Frame], failure: HTTP2ErrorCode?) {
        var reader = FrameReader(maximumBlockSize: 100)
        var frames: [FrameReader.Frame] = []
        do throws(HTTP2Failure) {
            for piece in pieces {
                reader.append(ByteBuffer(bytes: piece))
                while let frame = try reader.next() { if frame != .other { frames.append(frame) } }
            }
            return (frames, nil)
        } catch {
            return (frames, error.code)
        }
    }

    private static let conversation: [UInt8] =
        FrameReader.preface + frame(4, 0, 0, [0, 4, 0, 1, 0, 0])
        + frame(4, 1, 0, [])
        // A padded header block with a priority, in three fragments.
        + frame(1, 0x28 | 1, 1, [2] + [0, 0, 0, 0, 16] + [0x82] + [0, 0]) + frame(9, 0, 1, []) + frame(9, 4, 1, [0x84])
        + frame(0, 0x8, 3, [1] + Array("hi".utf8) + [0]) + frame(0, 1, 3, [])
        + frame(2, 0, 5, [0, 0, 0, 0, 1]) + frame(3, 0, 3, [0, 0, 0, 8])
        + frame(6, 0, 0, [0, 0, 0, 0, 0, 0, 0, 7]) + frame(6, 1, 0, [0, 0, 0, 0, 0, 0, 0, 8])
        + frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]) + frame(8, 0, 0, [0x80, 0, 0, 5]) + frame(99, 255, 7, [1, 2, 3])

    private static let frames: [FrameReader.Frame] = [
        .settings([.init(identifier: 4, value: 65_536)]), .settingsAcknowledged,
        .headers(stream: 1, ByteBuffer(bytes: [0x82, 0x84]), isEnd: true),
        .data(stream: 3, ByteBuffer(string: "hi"), padding: 2, isEnd: false),
        .data(stream: 3, ByteBuffer(), padding: 0, isEnd: true), .reset(stream: 3, .cancel), .ping(7),
        .pingAcknowledged(8), .windowUpdate(stream: 0, by: 5),
    ]

    @Test func `Frames are read however their bytes are split`() {
        #expect(read([Self.conversation]).frames == Self.frames)
        #expect(read(Self.conversation.map { [$0] }).frames == Self.frames)
        for index in Self.conversation.indices {
            let halves = [Array(Self.conversation[..<index]), Array(Self.conversation[index...])]
            let (frames, failure) = read(halves)
            #expect(frames == Self.frames && failure == nil)
            // The first half alone waits for more bytes.
            #expect(read([halves[0]]).failure == nil)
        }
    }

    @Test(
        arguments: [
            ("DATA without a stream", frame(0, 0, 0, []), .protocolError),
            ("HEADERS without a stream", frame(1, 4, 0, [0x82]), .protocolError),
            ("padding beyond the end of the frame", frame(0, 8, 1, [3, 0, 0]), .protocolError),
            ("padding without a length", frame(0, 8, 1, []), .frameSizeError),
            ("HEADERS with a truncated priority", frame(1, 0x24, 1, [0, 0]), .frameSizeError),
            ("PRIORITY of four bytes", frame(2, 0, 1, [0, 0, 0, 0]), .frameSizeError),
            ("RST_STREAM without a stream", frame(3, 0, 0, [0, 0, 0, 0]), .protocolError),
            ("RST_STREAM of three bytes", frame(3, 0, 1, [0, 0, 0]), .frameSizeError),
            ("SETTINGS on a stream", frame(4, 0, 1, []), .protocolError),
            ("SETTINGS of five bytes", frame(4, 0, 0, [0, 0, 0, 0, 0]), .frameSizeError),
            ("an acknowledgement of SETTINGS with a payload", frame(4, 1, 0, [0, 0, 0, 0, 0, 0]), .frameSizeError),
            ("PUSH_PROMISE", frame(5, 4, 1, [0, 0, 0, 2]), .protocolError),
            ("PING on a stream", frame(6, 0, 1, Array(repeating: 0, count: 8)), .protocolError),
            ("PING of seven bytes", frame(6, 0, 0, Array(repeating: 0, count: 7)), .frameSizeError),
            ("GOAWAY of seven bytes", frame(7, 0, 0, Array(repeating: 0, count: 7)), .frameSizeError),
            ("WINDOW_UPDATE with an increment of 0", frame(8, 0, 1, [0x80, 0, 0, 0]), .protocolError),
            ("WINDOW_UPDATE of three bytes", frame(8, 0, 0, [0, 0, 1]), .frameSizeError),
            ("CONTINUATION without a header block", frame(9, 4, 1, []), .protocolError),
            (
                "a block interrupted by PING", frame(1, 0, 1, []) + frame(6, 0, 0, Array(repeating: 0, count: 8)),
                .protocolError
            ),
            ("a block continued on another stream", frame(1, 0, 1, []) + frame(9, 4, 3, []), .protocolError),
            ("a block that is too large", frame(1, 4, 1, Array(repeating: 0x82, count: 101)), .enhanceYourCalm),
            (
                "a block in too many fragments", frame(1, 0, 1, []) + (0..<40).flatMap { _ in frame(9, 0, 1, []) },
                .enhanceYourCalm
            ),
            (
                "a frame that is too large", Array(frame(0, 0, 1, Array(repeating: 0, count: 16_385))[..<9]),
                .frameSizeError
            ),
        ] as [(String, [UInt8], HTTP2ErrorCode)])
    func `A malformed frame has the right error code`(name: String, bytes: [UInt8], code: HTTP2ErrorCode) {
        #expect(read([FrameReader.preface + Self.settings + bytes]).failure == code, "\(name)")
    }

    @Test func `A connection that does not begin with the preface and SETTINGS is rejected`() {
        #expect(read([Array("GET / HTTP/1.1\r\n".utf8)]).failure == .protocolError)
        #expect(read([Array("PRI * HTTP/2.0\r\n\r\nSX".utf8)]).failure == .protocolError)
        #expect(
            read([FrameReader.preface + Self.frame(6, 0, 0, Array(repeating: 0, count: 8))]).failure == .protocolError)
    }

    @Test func `Written frames are read back unchanged`() throws {
        let writer = FrameWriter()
        var output = ByteBuffer(bytes: FrameReader.preface)
        writer.settings([.init(identifier: 3, value: 100)], to: &output)
        writer.settingsAcknowledgement(to: &output)
        writer.dataHead(2, of: 1, isEnd: true, to: &output)
        output.writeString("hi")
        writer.reset(3, .refusedStream, to: &output)
        writer.windowUpdate(0, by: 70_000, to: &output)
        writer.ping(9, isAcknowledgement: true, to: &output)
        writer.goAway(last: 5, .enhanceYourCalm, "calm down", to: &output)
        writer.ping(10, isAcknowledgement: false, to: &output)
        #expect(
            read([Array(output.readableBytesView)]).frames == [
                .settings([.init(identifier: 3, value: 100)]), .settingsAcknowledged,
                .data(stream: 1, ByteBuffer(string: "hi"), padding: 0, isEnd: true), .reset(stream: 3, .refusedStream),
                .windowUpdate(stream: 0, by: 70_000), .pingAcknowledged(9), .ping(10),
            ])
    }

    @Test(arguments: [10, 16_000, 16_384, 40_000, 100_000])
    func `A header block larger than a frame is split into several frames`(size: Int) throws {
        var writer = FrameWriter()
        var reader = FrameReader(maximumBlockSize: 200_000)
        var decoder = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: 4096, maxHeaderListSize: 300_000)
        reader.append(ByteBuffer(bytes: FrameReader.preface + Self.settings))
        // The dynamic tables of both sides stay in sync from one block to the next.
        for stream in [1, 3] as [UInt32] {
            let headers: HPACKHeaders = [":status": "200", "x": String(repeating: "~", count: size), "y": "z"]
            var output = ByteBuffer()
            writer.headers(headers, of: stream, isEnd: true, to: &output)
            reader.append(output)
            var found: FrameReader.Frame?
            while let frame = try reader.next() { if case .headers = frame { found = frame } }
            guard case .headers(stream, var block, true) = found else { return #expect(Bool(false)) }
            #expect(try decoder.decodeHeaders(from: &block) == headers)
        }
    }

    @Test func `More than 200 events in 30 seconds are a flood`() throws {
        var gate = FloodGate(now: .uptimeNanoseconds(0))
        for second in 0..<400 { try gate.record(now: .uptimeNanoseconds(UInt64(second) * 1_000_000_000)) }
        let failure = #expect(throws: HTTP2Failure.self) {
            for _ in 0...200 { try gate.record(now: .uptimeNanoseconds(400_000_000_000)) }
        }
        #expect(failure?.code == .enhanceYourCalm)
    }
}
