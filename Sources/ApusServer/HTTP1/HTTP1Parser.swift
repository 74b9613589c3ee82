import ApusHTTP
package import HTTPTypes
package import NIOCore

/// Turns the bytes of a connection into heads and pieces of bodies. Any split of the same bytes gives the same requests.
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
    /// How much of the head has been searched for its end.
    private var searched = 0
    private var isFirst = true

    package init(maxHeadBytes: Int, maxHeadFields: Int) {
        self.maxHeadBytes = maxHeadBytes
        self.maxHeadFields = maxHeadFields
    }

    /// Bytes that came and were not asked for yet.
    package var bufferedBytes: Int { inbound.readableBytes }

    /// Adds bytes from the connection, without a copy where nothing is left from before.
    package mutating func append(_ bytes: ByteBuffer) { inbound.appendReclaiming(bytes) }

    /// How much of the present body is still to come, as far as it was announced.
    var announcedRest: Int {
        if case .fixed(let remaining) = phase { remaining } else { 0 }
    }

    /// Takes all bytes that are left: they belong to the protocol that follows an upgrade.
    mutating func takeRemainder() -> ByteBuffer {
        defer { inbound = ByteBuffer() }
        return inbound
    }

    package mutating func next() throws(HTTP1Error) -> Part {
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

    /// The whole body if it is here already, which spares a stream.
    mutating func takeWholeBody() -> ByteBuffer? {
        guard case .fixed(let remaining) = phase, let slice = inbound.readSlice(length: remaining) else { return nil }
        phase = .head
        return slice
    }

    private mutating func endBody(_ trailers: HTTPFields) -> Part {
        phase = .head
        return .end(trailers: trailers)
    }

    private mutating func parseHead() throws(HTTP1Error) -> RequestHead? {
        skipEmptyLines()
        guard inbound.readableBytes > 0 else {
            // Let go, it serves the channel's next read: an idle connection has one buffer then, not two.
            inbound = ByteBuffer()
            return nil
        }
        // A first byte that no method begins with, as in a TLS greeting on a plaintext port, need not wait for a line end.
        let buffer = inbound
        let bytes = buffer.readableBytesUInt8Span
        let first = bytes[0]
        if first != .carriageReturn, !Self.beginsMethod(first) {
            throw first == .lineFeed ? .bareLineFeed : .malformedRequestLine
        }
        let length = bytes.headLength(searched: &searched, limit: maxHeadBytes)
        guard (length ?? bytes.count) <= maxHeadBytes else { throw .headTooLarge(limit: maxHeadBytes) }
        guard let length else { return nil }
        // Only at the very beginning: later it would be a request like others, of an unknown version.
        if isFirst, bytes.extracting(first: length).isEqual(to: "PRI * HTTP/2.0\r\n\r\n") {
            throw .http2Preface
        }
        isFirst = false
        let head = try RequestHeadParser.parse(bytes.extracting(first: length), maxFields: maxHeadFields)
        inbound.moveReaderIndex(forwardBy: length)
        switch head.framing {
        case .none: phase = .fixed(remaining: 0)
        case .length(let count): phase = .fixed(remaining: count)
        case .chunked: phase = .chunked(ChunkedDecoder(maxFields: maxHeadFields))
        }
        return head
    }

    /// Empty lines before a request are read past (RFC 9112 §2.2).
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
