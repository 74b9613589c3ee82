import ApusHTTP
package import HTTPTypes
package import NIOCore

/// Parses the bytes of a connection into heads and pieces of bodies. The result does not depend on how the bytes are
/// split.
package struct HTTP1Parser {
    private enum Phase {
        case head
        case fixed(remaining: Int)
        case chunked(ChunkedDecoder)
    }

    package enum Part: Equatable {
        case head(RequestHead)
        case body(ByteBuffer)
        case end(trailers: HTTPFields)
        case needsMore
    }

    private let maxHeadBytes: Int
    private let maxHeadFields: Int
    private var phase = Phase.head
    private var inbound = ByteBuffer()
    /// How many bytes of the head have been searched for its end.
    private var searched = 0

    package init(maxHeadBytes: Int, maxHeadFields: Int) {
        self.maxHeadBytes = maxHeadBytes
        self.maxHeadFields = maxHeadFields
    }

    /// The number of bytes that have been received but not parsed.
    package var bufferedBytes: Int { inbound.readableBytes }

    /// Appends bytes from the connection, without copying them if no earlier bytes are left.
    package mutating func append(_ bytes: ByteBuffer) { inbound.appendReclaiming(bytes) }

    /// How many bytes of the current body are still to come, as far as its length was declared.
    var remainingContentLength: Int {
        if case .fixed(let remaining) = phase { remaining } else { 0 }
    }

    /// Removes and returns all remaining bytes, which belong to the protocol after an upgrade.
    mutating func takeRemainder() -> ByteBuffer {
        defer { inbound = ByteBuffer() }
        return inbound
    }

    package mutating func next() throws(RequestError) -> Part {
        switch phase {
        case .head:
            guard let head = try parseHead() else { return .needsMore }
            return .head(head)
        case .fixed(let remaining):
            guard remaining > 0 else { return endBody([:]) }
            guard inbound.readableBytes > 0,
                let slice = inbound.readSlice(length: min(remaining, inbound.readableBytes))
            else { return .needsMore }
            phase = .fixed(remaining: remaining - slice.readableBytes)
            return .body(slice)
        case .chunked(var decoder):
            let piece = try decoder.next(&inbound)
            phase = .chunked(decoder)
            switch piece {
            case .data(let slice): return .body(slice)
            case .end(let trailers): return endBody(trailers)
            case .needsMore: return .needsMore
            }
        }
    }

    /// Removes and returns the complete body if it has been received, which saves a stream.
    mutating func takeCompleteBody() -> ByteBuffer? {
        guard case .fixed(let remaining) = phase, let slice = inbound.readSlice(length: remaining) else { return nil }
        phase = .head
        return slice
    }

    private mutating func endBody(_ trailers: HTTPFields) -> Part {
        phase = .head
        return .end(trailers: trailers)
    }

    private mutating func parseHead() throws(RequestError) -> RequestHead? {
        skipEmptyLines()
        guard inbound.readableBytes > 0 else {
            // Once released, the buffer serves the channel's next read, so an idle connection holds one buffer, not
            // two.
            inbound = ByteBuffer()
            return nil
        }
        // Reject a byte that cannot begin a method, such as that of a TLS ClientHello on a plaintext port, without
        // waiting for the end of the line.
        let buffer = inbound
        let bytes = buffer.readableBytesUInt8Span
        let first = bytes[0]
        if first != .carriageReturn, !Self.beginsMethod(first) {
            throw first == .lineFeed ? .bareLineFeed : .malformedRequestLine
        }
        let length = bytes.headLength(searched: &searched, limit: maxHeadBytes)
        guard (length ?? bytes.count) <= maxHeadBytes else { throw .headTooLarge(limit: maxHeadBytes) }
        guard let length else { return nil }
        let head = try RequestHeadParser.parse(bytes.extracting(first: length), maxFields: maxHeadFields)
        inbound.moveReaderIndex(forwardBy: length)
        switch head.framing {
        case .none: phase = .fixed(remaining: 0)
        case .length(let count): phase = .fixed(remaining: count)
        case .chunked: phase = .chunked(ChunkedDecoder(maxFields: maxHeadFields))
        }
        return head
    }

    /// Skips empty lines before a request (RFC 9112 §2.2).
    private mutating func skipEmptyLines() {
        while inbound.readableBytes >= 2, inbound.getInteger(at: inbound.readerIndex, as: UInt16.self) == 0x0D0A {
            inbound.moveReaderIndex(forwardBy: 2)
            searched = max(0, searched - 2)
        }
    }

    private static func beginsMethod(_ byte: UInt8) -> Bool {
        let letter = byte | 0x20
        return letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z")
    }
}
