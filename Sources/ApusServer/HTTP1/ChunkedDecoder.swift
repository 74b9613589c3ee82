import NIOCore

/// Reads a chunked body (RFC 9112 §7.1), incrementally and without copying its data. Extensions and trailers are read past.
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
        case end
        case needsMore
    }

    /// The most bytes of a chunk's size line, and of all trailers.
    private static let maxLine = 4096

    private var phase = Phase.size
    private var trailerBytes = 0

    mutating func next(_ buffer: inout ByteBuffer) throws(HTTP1Error) -> Piece {
        while true {
            switch phase {
            case .size:
                guard let line = try Self.line(&buffer) else { return .needsMore }
                let size = try Self.size(line)
                phase = size == 0 ? .trailers : .data(remaining: size)
            case .data(let remaining):
                guard buffer.readableBytes > 0 else { return .needsMore }
                let count = min(remaining, buffer.readableBytes)
                phase = count == remaining ? .dataEnd : .data(remaining: remaining - count)
                guard let slice = buffer.readSlice(length: count) else { return .needsMore }
                return .data(slice)
            case .dataEnd:
                guard buffer.readableBytes >= 2 else { return .needsMore }
                guard buffer.readBytes(length: 2) == [.carriageReturn, .lineFeed] else { throw .malformedChunk }
                phase = .size
            case .trailers:
                guard let line = try Self.line(&buffer) else { return .needsMore }
                trailerBytes += line.readableBytes + 2
                guard trailerBytes <= Self.maxLine else { throw .malformedChunk }
                if line.readableBytes == 0 { phase = .finished }
            case .finished: return .end
            }
        }
    }

    /// The next line without its CR LF; `nil` until it is whole.
    private static func line(_ buffer: inout ByteBuffer) throws(HTTP1Error) -> ByteBuffer? {
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

    /// The hexadecimal size, up to an extension.
    private static func size(_ line: ByteBuffer) throws(HTTP1Error) -> Int {
        var size = 0
        var digits = 0
        for byte in line.readableBytesView {
            if byte == .semicolon { break }
            guard let digit = hexDigit(byte), digits < 15 else { throw .malformedChunk }
            size = size << 4 | digit
            digits += 1
        }
        guard digits > 0, !line.readableBytesView.contains(.carriageReturn) else { throw .malformedChunk }
        return size
    }

    private static func hexDigit(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }
}
