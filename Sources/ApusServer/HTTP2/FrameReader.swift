import ApusHTTP
package import NIOCore

/// Reads frames from the bytes that a client sends (RFC 9113 §4 and §6), validates each by itself, and assembles
/// fragmented header blocks. It knows nothing about streams and does no I/O.
package struct FrameReader {
    package enum Frame: Equatable {
        /// - Parameter padding: The number of padding bytes, which count towards flow control.
        case data(stream: UInt32, ByteBuffer, padding: Int, isEnd: Bool)
        /// A complete header block, still compressed.
        case headers(stream: UInt32, ByteBuffer, isEnd: Bool)
        case reset(stream: UInt32, HTTP2ErrorCode)
        case settings([Setting])
        case settingsAcknowledged
        case ping(UInt64)
        case pingAcknowledged(UInt64)
        case windowUpdate(stream: UInt32, by: Int)
        /// A frame without effect: PRIORITY, GOAWAY from the client, a fragment of a header block, or an unknown type.
        case other
    }

    package struct Setting: Equatable {
        package let identifier: UInt16
        package let value: UInt32
    }

    /// The connection preface (RFC 9113 §3.4).
    package static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    /// The maximum size of a frame: the default, which the server does not change.
    static let maximumFrameSize = 16_384
    private static let headLength = 9
    /// The maximum number of fragments of a header block. More of them indicate an attack.
    private static let maximumFragments = 32
    /// The maximum number of settings in a frame. Fewer than ten are defined.
    private static let maximumSettings = 64

    /// A header block that is not complete.
    private struct Block {
        let stream: UInt32
        let isEnd: Bool
        var bytes: ByteBuffer
        var fragments = 1
    }

    private let maximumBlockSize: Int
    private var bytes = ByteBuffer()
    private var hasPreface = false
    private var hasSettings = false
    private var block: Block?

    /// - Parameter maximumBlockSize: The maximum size of a compressed header block, in bytes.
    package init(maximumBlockSize: Int) { self.maximumBlockSize = maximumBlockSize }

    package mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 { bytes = more } else { bytes.appendReclaiming(more) }
    }

    /// Returns the next frame, or `nil` if more bytes are needed.
    package mutating func next() throws(HTTP2Failure) -> Frame? {
        if !hasPreface {
            guard try readPreface() else { return nil }
        }
        guard let head = peekHead() else {
            release()
            return nil
        }
        guard head.length <= Self.maximumFrameSize else {
            throw HTTP2Failure(
                .frameSizeError, "A frame has \(head.length) bytes; the maximum is \(Self.maximumFrameSize).")
        }
        guard hasSettings || head.type == .settings else {
            throw HTTP2Failure(.protocolError, "The first frame must be SETTINGS.")
        }
        if let block, head.type != .continuation || head.stream != block.stream {
            throw HTTP2Failure(.protocolError, "A header block is interrupted by another frame.")
        }
        guard bytes.readableBytes >= Self.headLength + head.length else { return nil }
        bytes.moveReaderIndex(forwardBy: Self.headLength)
        guard let payload = bytes.readSlice(length: head.length) else { return nil }
        return try read(head, payload)
    }

    private mutating func readPreface() throws(HTTP2Failure) -> Bool {
        let count = min(bytes.readableBytes, Self.preface.count)
        guard bytes.readableBytesView.prefix(count).elementsEqual(Self.preface.prefix(count)) else {
            throw HTTP2Failure(.protocolError, "The connection preface is malformed.")
        }
        guard count == Self.preface.count else { return false }
        bytes.moveReaderIndex(forwardBy: count)
        hasPreface = true
        return true
    }

    /// Releases the buffer as soon as all of it has been read.
    private mutating func release() { if bytes.readableBytes == 0 { bytes = ByteBuffer() } }

    // MARK: Frames

    private enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    private struct Head {
        let length: Int
        /// `nil` for an unknown type.
        let type: Kind?
        let flags: UInt8
        let stream: UInt32

        var isEnd: Bool { flags & 0x1 != 0 }
        var isAcknowledgement: Bool { flags & 0x1 != 0 }
        var isEndOfBlock: Bool { flags & 0x4 != 0 }
        var isPadded: Bool { flags & 0x8 != 0 }
        var hasPriority: Bool { flags & 0x20 != 0 }
    }

    private func peekHead() -> Head? {
        guard bytes.readableBytes >= Self.headLength else { return nil }
        return bytes.withUnsafeReadableBytes { bytes in
            let stream = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt32.self)) & 0x7FFF_FFFF
            return Head(
                length: Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2]), type: Kind(rawValue: bytes[3]),
                flags: bytes[4], stream: stream)
        }
    }

    private mutating func read(_ head: Head, _ payload: ByteBuffer) throws(HTTP2Failure) -> Frame {
        var payload = payload
        switch head.type {
        case .data:
            try Self.check(head, hasStream: true)
            let padding = try Self.removePadding(head, &payload)
            return .data(stream: head.stream, payload, padding: padding, isEnd: head.isEnd)
        case .headers:
            try Self.check(head, hasStream: true)
            _ = try Self.removePadding(head, &payload)
            if head.hasPriority, payload.readBytes(length: 5) == nil {
                throw HTTP2Failure(.frameSizeError, "The priority in a HEADERS frame is truncated.")
            }
            block = Block(stream: head.stream, isEnd: head.isEnd, bytes: payload)
            return try endBlock(head)
        case .continuation:
            guard var block = block.take() else {
                throw HTTP2Failure(.protocolError, "A CONTINUATION frame follows no header block.")
            }
            block.bytes.writeBuffer(&payload)
            block.fragments += 1
            self.block = block
            return try endBlock(head)
        case .priority:
            try Self.check(head, hasStream: true, length: 5)
            return .other
        case .reset:
            try Self.check(head, hasStream: true, length: 4)
            return .reset(stream: head.stream, HTTP2ErrorCode(rawValue: payload.readInteger() ?? 0))
        case .settings:
            hasSettings = true
            return try Self.settings(head, &payload)
        case .pushPromise: throw HTTP2Failure(.protocolError, "A client must not send PUSH_PROMISE.")
        case .ping:
            try Self.check(head, hasStream: false, length: 8)
            let data: UInt64 = payload.readInteger() ?? 0
            return head.isAcknowledgement ? .pingAcknowledged(data) : .ping(data)
        case .goAway:
            try Self.check(head, hasStream: false)
            guard head.length >= 8 else { throw HTTP2Failure(.frameSizeError, "A GOAWAY frame is truncated.") }
            return .other
        case .windowUpdate:
            try Self.check(head, hasStream: nil, length: 4)
            let increment = (payload.readInteger(as: UInt32.self) ?? 0) & 0x7FFF_FFFF
            guard increment > 0 else {
                throw HTTP2Failure(.protocolError, "The increment in a WINDOW_UPDATE frame is 0.")
            }
            return .windowUpdate(stream: head.stream, by: Int(increment))
        case nil: return .other
        }
    }

    /// Checks the stream and the length of a frame.
    /// - Parameters:
    ///   - hasStream: Whether it must belong to a stream or to the connection; `nil` for either.
    ///   - length: The required length; `nil` for any.
    private static func check(_ head: Head, hasStream: Bool?, length: Int? = nil) throws(HTTP2Failure) {
        if let hasStream, hasStream != (head.stream != 0) {
            throw HTTP2Failure(
                .protocolError,
                hasStream
                    ? "A frame that requires a stream was sent on stream 0."
                    : "A frame of the connection was sent on a stream.")
        }
        if let length, length != head.length {
            throw HTTP2Failure(.frameSizeError, "A frame has \(head.length) bytes instead of \(length).")
        }
    }

    /// Removes the padding.
    /// - Returns: The number of bytes that it occupied, including its length.
    private static func removePadding(_ head: Head, _ payload: inout ByteBuffer) throws(HTTP2Failure) -> Int {
        guard head.isPadded else { return 0 }
        guard let padding = payload.readInteger(as: UInt8.self) else {
            throw HTTP2Failure(.frameSizeError, "A padded frame lacks the length of its padding.")
        }
        guard Int(padding) <= payload.readableBytes else {
            throw HTTP2Failure(.protocolError, "The padding is longer than its frame.")
        }
        payload.moveWriterIndex(to: payload.writerIndex - Int(padding))
        return Int(padding) + 1
    }

    private mutating func endBlock(_ head: Head) throws(HTTP2Failure) -> Frame {
        guard let complete = block else { return .other }
        guard complete.fragments <= Self.maximumFragments, complete.bytes.readableBytes <= maximumBlockSize else {
            throw HTTP2Failure(.enhanceYourCalm, "A header block is too large or has too many fragments.")
        }
        guard head.isEndOfBlock else { return .other }
        block = nil
        return .headers(stream: complete.stream, complete.bytes, isEnd: complete.isEnd)
    }

    private static func settings(_ head: Head, _ payload: inout ByteBuffer) throws(HTTP2Failure) -> Frame {
        try check(head, hasStream: false)
        if head.isAcknowledgement {
            try check(head, hasStream: false, length: 0)
            return .settingsAcknowledged
        }
        guard head.length <= 6 * maximumSettings else {
            throw HTTP2Failure(.enhanceYourCalm, "A SETTINGS frame has more than \(maximumSettings) settings.")
        }
        guard head.length % 6 == 0 else {
            throw HTTP2Failure(
                .frameSizeError, "A SETTINGS frame has \(head.length) bytes, which is not a multiple of 6.")
        }
        var settings: [Setting] = []
        while let (identifier, value) = payload.readMultipleIntegers(as: (UInt16, UInt32).self) {
            settings.append(Setting(identifier: identifier, value: value))
        }
        return .settings(settings)
    }
}
