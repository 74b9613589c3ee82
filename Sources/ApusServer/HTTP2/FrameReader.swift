import ApusHTTP
package import NIOCore

/// Reads frames from the bytes that a client sends (RFC 9113 §4 and §6): checks each by itself, and puts the pieces of a header
/// block together. It knows nothing of streams, and does no I/O.
package struct FrameReader {
    package enum Frame: Equatable {
        /// - Parameter padding: How many bytes came along that mean nothing, but count.
        case data(stream: UInt32, ByteBuffer, padding: Int, isEnd: Bool)
        /// A whole header block, compressed.
        case headers(stream: UInt32, ByteBuffer, isEnd: Bool)
        case reset(stream: UInt32, HTTP2ErrorCode)
        case settings([Setting])
        case settingsAcknowledged
        case ping(UInt64)
        case pingAcknowledged(UInt64)
        case windowUpdate(stream: UInt32, by: Int)
        /// What is of no consequence here: priorities, the client's goodbye, types that nobody knows.
        case other
    }

    package struct Setting: Equatable {
        package let identifier: UInt16
        package let value: UInt32
    }

    /// What the first bytes must be (RFC 9113 §3.4).
    package static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    /// The largest frame that is taken: what holds as long as nothing else is announced.
    static let largestFrame = 16_384
    private static let headLength = 9
    /// A block comes in more pieces than this when somebody wants to keep us busy.
    private static let mostPieces = 32
    /// There are not ten of them.
    private static let mostSettings = 64

    /// A header block of which more is to come.
    private struct Block {
        let stream: UInt32
        let isEnd: Bool
        var bytes: ByteBuffer
        var pieces = 1
    }

    private let largestBlock: Int
    private var bytes = ByteBuffer()
    private var hasPreface = false
    private var hasSettings = false
    private var block: Block?

    /// - Parameter largestBlock: The most bytes of a header block, compressed.
    package init(largestBlock: Int) { self.largestBlock = largestBlock }

    package mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 { bytes = more } else { bytes.appendReclaiming(more) }
    }

    /// The next frame; `nil` when more of it has to come first.
    package mutating func next() throws(HTTP2Failure) -> Frame? {
        if !hasPreface {
            guard try readPreface() else { return nil }
        }
        guard let head = peekHead() else {
            release()
            return nil
        }
        guard head.length <= Self.largestFrame else {
            throw HTTP2Failure(.frameSizeError, "A frame of \(head.length) bytes is larger than \(Self.largestFrame).")
        }
        guard hasSettings || head.type == .settings else {
            throw HTTP2Failure(.protocolError, "The first frame is none of settings.")
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
            throw HTTP2Failure(.protocolError, "The preface is wrong.")
        }
        guard count == Self.preface.count else { return false }
        bytes.moveReaderIndex(forwardBy: count)
        hasPreface = true
        return true
    }

    /// What has been read is given back as soon as nothing is left of it.
    private mutating func release() { if bytes.readableBytes == 0 { bytes = ByteBuffer() } }

    // MARK: Frames

    private enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    private struct Head {
        let length: Int
        /// `nil` for one that nobody knows.
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
                throw HTTP2Failure(.frameSizeError, "A priority is cut off.")
            }
            block = Block(stream: head.stream, isEnd: head.isEnd, bytes: payload)
            return try endBlock(head)
        case .continuation:
            guard var block = block.take() else {
                throw HTTP2Failure(.protocolError, "Nothing is to be continued.")
            }
            block.bytes.writeBuffer(&payload)
            block.pieces += 1
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
        case .pushPromise: throw HTTP2Failure(.protocolError, "Clients promise nothing.")
        case .ping:
            try Self.check(head, hasStream: false, length: 8)
            let data: UInt64 = payload.readInteger() ?? 0
            return head.isAcknowledgement ? .pingAcknowledged(data) : .ping(data)
        case .goAway:
            try Self.check(head, hasStream: false)
            guard head.length >= 8 else { throw HTTP2Failure(.frameSizeError, "A GOAWAY is cut off.") }
            return .other
        case .windowUpdate:
            try Self.check(head, hasStream: nil, length: 4)
            let increment = (payload.readInteger(as: UInt32.self) ?? 0) & 0x7FFF_FFFF
            guard increment > 0 else { throw HTTP2Failure(.protocolError, "A window grows by nothing.") }
            return .windowUpdate(stream: head.stream, by: Int(increment))
        case nil: return .other
        }
    }

    /// - Parameters:
    ///   - hasStream: Whether it must be of a stream, or of the connection; `nil` for either.
    ///   - length: What its length must be; `nil` for any.
    private static func check(_ head: Head, hasStream: Bool?, length: Int? = nil) throws(HTTP2Failure) {
        if let hasStream, hasStream != (head.stream != 0) {
            throw HTTP2Failure(.protocolError, "A frame is of \(hasStream ? "no" : "a") stream.")
        }
        if let length, length != head.length {
            throw HTTP2Failure(.frameSizeError, "A frame has \(head.length) bytes where \(length) belong.")
        }
    }

    /// - Returns: How many bytes it took.
    private static func removePadding(_ head: Head, _ payload: inout ByteBuffer) throws(HTTP2Failure) -> Int {
        guard head.isPadded else { return 0 }
        guard let padding = payload.readInteger(as: UInt8.self) else {
            throw HTTP2Failure(.frameSizeError, "A padded frame has no length of its padding.")
        }
        guard Int(padding) <= payload.readableBytes else {
            throw HTTP2Failure(.protocolError, "The padding is longer than its frame.")
        }
        payload.moveWriterIndex(to: payload.writerIndex - Int(padding))
        return Int(padding) + 1
    }

    private mutating func endBlock(_ head: Head) throws(HTTP2Failure) -> Frame {
        guard let whole = block else { return .other }
        guard whole.pieces <= Self.mostPieces, whole.bytes.readableBytes <= largestBlock else {
            throw HTTP2Failure(.enhanceYourCalm, "A header block is too long.")
        }
        guard head.isEndOfBlock else { return .other }
        block = nil
        return .headers(stream: whole.stream, whole.bytes, isEnd: whole.isEnd)
    }

    private static func settings(_ head: Head, _ payload: inout ByteBuffer) throws(HTTP2Failure) -> Frame {
        try check(head, hasStream: false)
        if head.isAcknowledgement {
            try check(head, hasStream: false, length: 0)
            return .settingsAcknowledged
        }
        guard head.length <= 6 * mostSettings else {
            throw HTTP2Failure(.enhanceYourCalm, "A frame has more than \(mostSettings) settings.")
        }
        guard head.length % 6 == 0 else {
            throw HTTP2Failure(.frameSizeError, "Settings of \(head.length) bytes are no whole ones.")
        }
        var settings: [Setting] = []
        while let (identifier, value) = payload.readMultipleIntegers(as: (UInt16, UInt32).self) {
            settings.append(Setting(identifier: identifier, value: value))
        }
        return .settings(settings)
    }
}
