import ApusHTTP
import NIOCore

/// Turns the bytes of a connection into heads and pieces of bodies. Any split of the same bytes gives the same requests.
struct HTTP1Parser {
    private enum Phase {
        case head
        case fixed(remaining: Int)
        case chunked(ChunkedDecoder)
    }

    enum Part: Equatable {
        case head(RequestHead)
        case body(ByteBuffer)
        case end
        case needsMore
    }

    private let maxHeadBytes: Int
    private let maxHeadFields: Int
    private var phase = Phase.head
    private var inbound = ByteBuffer()
    /// How much of the head has been searched for its end.
    private var searched = 0

    init(maxHeadBytes: Int, maxHeadFields: Int) {
        self.maxHeadBytes = maxHeadBytes
        self.maxHeadFields = maxHeadFields
    }

    /// Bytes that came and were not asked for yet.
    var bufferedBytes: Int { inbound.readableBytes }

    /// Adds bytes from the connection, without a copy where nothing is left from before.
    mutating func append(_ bytes: ByteBuffer) { inbound.appendReclaiming(bytes) }

    /// Takes all bytes that are left: they belong to the protocol that follows an upgrade.
    mutating func takeRemainder() -> ByteBuffer {
        defer { inbound = ByteBuffer() }
        return inbound
    }

    mutating func next() throws(HTTP1Error) -> Part {
        switch phase {
        case .head:
            guard let head = try parseHead() else { return .needsMore }
            return .head(head)
        case .fixed(let remaining):
            guard remaining > 0 else { return endBody() }
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
            case .end: return endBody()
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

    private mutating func endBody() -> Part {
        phase = .head
        return .end
    }

    private mutating func parseHead() throws(HTTP1Error) -> RequestHead? {
        skipEmptyLines()
        // A first byte that no method begins with, as in a TLS greeting on a plaintext port, need not wait for a line end.
        if let first = inbound.readableBytesView.first, first != .carriageReturn, !Self.beginsMethod(first) {
            throw first == .lineFeed ? .bareLineFeed : .malformedRequestLine
        }
        guard let length = try headLength() else { return nil }
        searched = 0
        let maxFields = maxHeadFields
        let result = inbound.withUnsafeReadableBytes { bytes in
            Result { () throws(HTTP1Error) in
                var parser = RequestHeadParser(UnsafeRawBufferPointer(rebasing: bytes[..<length]), maxFields: maxFields)
                return try parser.parse()
            }
        }
        let head = try result.get()
        inbound.moveReaderIndex(forwardBy: length)
        switch head.framing {
        case .none: phase = .fixed(remaining: 0)
        case .length(let count): phase = .fixed(remaining: count)
        case .chunked: phase = .chunked(ChunkedDecoder())
        }
        return head
    }

    /// Empty lines before a request are read past (RFC 9112 §2.2).
    private mutating func skipEmptyLines() {
        while inbound.readableBytes >= 2,
            inbound.getBytes(at: inbound.readerIndex, length: 2) == [.carriageReturn, .lineFeed]
        {
            inbound.moveReaderIndex(forwardBy: 2)
            searched = max(0, searched - 2)
        }
    }

    private static func beginsMethod(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }

    /// The length of the head up to and with its empty line; `nil` until that is here.
    private mutating func headLength() throws(HTTP1Error) -> Int? {
        let limit = maxHeadBytes
        let start = max(0, searched - 3)
        let length = inbound.withUnsafeReadableBytes { bytes -> Int? in
            var index = start
            while let feed = bytes[index...].firstIndex(of: .lineFeed) {
                if feed >= 3, bytes[feed - 1] == .carriageReturn, bytes[feed - 2] == .lineFeed { return feed + 1 }
                // A lone LF LF also ends the search: the strict reading of the lines refuses it at once.
                if feed >= 1, bytes[feed - 1] == .lineFeed { return feed + 1 }
                index = feed + 1
            }
            return nil
        }
        guard (length ?? inbound.readableBytes) <= limit else { throw .headTooLarge(limit: limit) }
        if length == nil { searched = inbound.readableBytes }
        return length
    }
}
