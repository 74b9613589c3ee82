import NIOCore
import NIOHPACK

/// Writes frames (RFC 9113 §4 and §6).
struct FrameWriter {
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
    /// The maximum frame size that the peer accepts.
    private(set) var maximumFrameSize = 16_384

    private static let headLength = 9
    /// The maximum size of the dynamic table, whatever the peer allows, to limit the memory that it takes.
    private static let maximumTableSize = HPACKEncoder.defaultDynamicTableSize

    private enum Kind: UInt8 {
        case data = 0
        case headers = 1
        case reset = 3
        case settings = 4
        case ping = 6
        case goAway = 7
        case windowUpdate = 8
        case continuation = 9
    }

    private enum Flag {
        /// END_STREAM in DATA and HEADERS, ACK in SETTINGS and PING.
        static let end: UInt8 = 0x1
        static let endOfBlock: UInt8 = 0x4
    }

    // MARK: Settings of the peer

    mutating func setMaximumFrameSize(_ size: Int) { maximumFrameSize = size }

    mutating func setHeaderTableSize(_ size: Int) {
        // This throws only within a header block, and blocks are always written at once.
        try? encoder.setDynamicTableSize(min(size, Self.maximumTableSize))
    }

    // MARK: Frames

    mutating func headers(_ headers: HPACKHeaders, of stream: UInt32, isEnd: Bool, to output: inout ByteBuffer) {
        let start = output.writerIndex
        let end = isEnd ? Flag.end : 0
        Self.head(0, .headers, end | Flag.endOfBlock, stream, to: &output)
        // This throws only within another header block.
        try? encoder.encode(headers: headers, to: &output)
        let length = output.writerIndex - start - Self.headLength
        guard length > maximumFrameSize else {
            output.setInteger(UInt8(length >> 16), at: start)
            output.setInteger(UInt16(truncatingIfNeeded: length), at: start + 1)
            return
        }
        guard var block = output.getSlice(at: start + Self.headLength, length: length) else { return }
        output.moveWriterIndex(to: start)
        var kind = Kind.headers
        while let piece = block.readSlice(length: min(maximumFrameSize, block.readableBytes)), piece.readableBytes > 0 {
            let isLast = block.readableBytes == 0 ? Flag.endOfBlock : 0
            Self.head(piece.readableBytes, kind, (kind == .headers ? end : 0) | isLast, stream, to: &output)
            output.writeImmutableBuffer(piece)
            kind = .continuation
        }
    }

    /// Writes the header of a DATA frame. Its payload must follow.
    func dataHead(_ length: Int, of stream: UInt32, isEnd: Bool, to output: inout ByteBuffer) {
        Self.head(length, .data, isEnd ? Flag.end : 0, stream, to: &output)
    }

    func reset(_ stream: UInt32, _ code: HTTP2ErrorCode, to output: inout ByteBuffer) {
        Self.head(4, .reset, 0, stream, to: &output)
        output.writeInteger(code.rawValue)
    }

    func windowUpdate(_ stream: UInt32, by increment: Int, to output: inout ByteBuffer) {
        Self.head(4, .windowUpdate, 0, stream, to: &output)
        output.writeInteger(UInt32(increment))
    }

    func settings(_ settings: [FrameReader.Setting], to output: inout ByteBuffer) {
        Self.head(6 * settings.count, .settings, 0, 0, to: &output)
        for setting in settings { output.writeMultipleIntegers(setting.identifier, setting.value) }
    }

    func settingsAcknowledgement(to output: inout ByteBuffer) { Self.head(0, .settings, Flag.end, 0, to: &output) }

    func ping(_ data: UInt64, isAcknowledgement: Bool, to output: inout ByteBuffer) {
        Self.head(8, .ping, isAcknowledgement ? Flag.end : 0, 0, to: &output)
        output.writeInteger(data)
    }

    /// - Parameter last: The last stream that is processed.
    func goAway(last: UInt32, _ code: HTTP2ErrorCode, _ reason: String, to output: inout ByteBuffer) {
        Self.head(8 + reason.utf8.count, .goAway, 0, 0, to: &output)
        output.writeMultipleIntegers(last, code.rawValue)
        output.writeString(reason)
    }

    private static func head(
        _ length: Int, _ kind: Kind, _ flags: UInt8, _ stream: UInt32, to output: inout ByteBuffer
    ) {
        output.writeMultipleIntegers(
            UInt32(truncatingIfNeeded: length) << 8 | UInt32(kind.rawValue), flags, stream)
    }
}
