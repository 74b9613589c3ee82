import HTTPTypes
import NIOCore

/// Decodes a chunked body (RFC 9112 §7.1) incrementally and without copying its data. Chunk extensions are ignored.
struct ChunkedDecoder: Sendable {
    private enum Phase: Sendable {
        case size
        case data(remaining: Int)
        case dataEnd
        case trailers
        case finished
    }

    enum Piece: Equatable {
        case data(ByteBuffer)
        case end(trailers: HTTPFields)
        case needsMore
    }

    /// The maximum length of a chunk's size line, in bytes.
    private static let maxLine = 4096
    /// The maximum size of all trailers, in bytes.
    private static let maxTrailers = 4096
    /// How many bytes the sizes and extensions of a body may take beyond what the size of its data justifies: a client
    /// must not make the server read far more than the body it receives.
    private static let maxOverhead = 16 << 10

    private let maxFields: Int
    private var phase = Phase.size
    /// How many bytes of the trailers have been searched for their end.
    private var searched = 0
    private var overhead = 0

    init(maxFields: Int) { self.maxFields = maxFields }

    mutating func next(_ buffer: inout ByteBuffer) throws(RequestError) -> Piece {
        while true {
            switch phase {
            case .size:
                guard let line = try Self.line(&buffer) else { return .needsMore }
                let size = try Self.size(line)
                // An honest client needs a size line of a few bytes, which is outweighed by the data after it.
                overhead = max(0, overhead + line.readableBytes - 16 - 2 * size)
                guard overhead <= Self.maxOverhead else { throw .malformedChunk }
                phase = size == 0 ? .trailers : .data(remaining: size)
            case .data(let remaining):
                guard buffer.readableBytes > 0 else { return .needsMore }
                let count = min(remaining, buffer.readableBytes)
                phase = count == remaining ? .dataEnd : .data(remaining: remaining - count)
                guard let slice = buffer.readSlice(length: count) else { return .needsMore }
                return .data(slice)
            case .dataEnd:
                guard buffer.readableBytes >= 2 else { return .needsMore }
                guard buffer.readInteger(as: UInt16.self) == 0x0D0A else { throw .malformedChunk }
                phase = .size
            case .trailers:
                guard let trailers = try readTrailers(&buffer) else { return .needsMore }
                phase = .finished
                return .end(trailers: trailers)
            case .finished: return .end(trailers: [:])
            }
        }
    }

    /// Returns the next line without its CR LF, or `nil` if it is incomplete.
    private static func line(_ buffer: inout ByteBuffer) throws(RequestError) -> ByteBuffer? {
        let view = buffer.readableBytesView
        guard let feed = view.firstIndex(of: .lineFeed) else {
            guard view.count <= maxLine else { throw .malformedChunk }
            return nil
        }
        let length = feed - view.startIndex
        guard length <= maxLine, length >= 1, view[feed - 1] == .carriageReturn,
            let line = buffer.readSlice(length: length - 1)
        else { throw .malformedChunk }
        buffer.moveReaderIndex(forwardBy: 2)
        return line
    }

    /// Parses the hexadecimal size and ignores extensions.
    private static func size(_ line: ByteBuffer) throws(RequestError) -> Int {
        var size = 0
        var digits = 0
        let view = line.readableBytesView
        for byte in view {
            if byte == .semicolon { break }
            guard let digit = byte.hexDigit, digits < 15 else { throw .malformedChunk }
            size = size << 4 | digit
            digits += 1
        }
        guard digits > 0, view.dropFirst(digits).allSatisfy({ ($0 >= .space && $0 != 0x7F) || $0 == .tab }) else {
            throw .malformedChunk
        }
        return size
    }

    private mutating func readTrailers(_ buffer: inout ByteBuffer) throws(RequestError) -> HTTPFields? {
        if buffer.readableBytes >= 2, buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x0D0A {
            buffer.moveReaderIndex(forwardBy: 2)
            return [:]
        }
        guard let length = buffer.readableBytesUInt8Span.headLength(searched: &searched, limit: Self.maxTrailers) else {
            guard buffer.readableBytes <= Self.maxTrailers else { throw .malformedChunk }
            return nil
        }
        guard length <= Self.maxTrailers else { throw .malformedChunk }
        let trailers = try RequestHeadParser.trailers(
            buffer.readableBytesUInt8Span.extracting(first: length), maxFields: maxFields)
        buffer.moveReaderIndex(forwardBy: length)
        return trailers
    }
}
