package import NIOCore

/// Reads the values that a server sends. The result does not depend on how the bytes are split.
///
/// The reader continues where the bytes ended: it keeps the open aggregates and what it knows of the value that was cut,
/// so a long reply costs its length however many reads it takes.
package struct RESPReader {
    /// What the aggregate becomes when its last element has been read.
    private enum Aggregate {
        case array, set, map, push
        /// Information about the value that follows it, which is discarded.
        case attribute
    }

    private struct Frame {
        let aggregate: Aggregate
        /// How many elements are missing. Keys and values of a map count each.
        var missing: Int
        var elements: [RedisValue]
    }

    /// A string whose length is known and whose bytes have not all arrived.
    private struct OpenString {
        let marker: UInt8
        let length: Int
    }

    private let limits: RESPLimits
    private var buffer = ByteBuffer()
    private var frames: [Frame] = []
    private var openString: OpenString?
    /// How many bytes of an incomplete line have been searched for its end.
    private var searched = 0
    private var replyBytes = 0
    private var replyValues = 0

    package init(limits: RESPLimits = RESPLimits()) { self.limits = limits }

    /// The number of bytes that were received but not read.
    package var bufferedBytes: Int { buffer.readableBytes }

    /// Appends bytes from the connection, without copying them if no earlier ones are left.
    package mutating func append(_ bytes: ByteBuffer) {
        let left = buffer.readableBytes
        if left == 0 {
            buffer = bytes
        } else if left <= bytes.readableBytes {
            // Values that were read share the old storage, so that writing to it would copy all of it.
            var joined = ByteBufferAllocator().buffer(capacity: left + bytes.readableBytes)
            joined.writeImmutableBuffer(buffer)
            joined.writeImmutableBuffer(bytes)
            buffer = joined
        } else {
            // A large string that takes many reads: the storage grows geometrically.
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// Returns the next complete value, or `nil` if more bytes are needed.
    package mutating func next() throws(RESPFailure) -> RedisValue? {
        while true {
            let before = buffer.readerIndex
            let value = try readValue()
            replyBytes += buffer.readerIndex - before
            guard replyBytes <= limits.replyBytes else { throw tooLarge }
            switch value {
            case .needsMore:
                // Once released, the storage can serve the next read.
                if buffer.readableBytes == 0 { buffer = ByteBuffer() }
                return nil
            case .opened: continue
            case .value(let value):
                guard let reply = close(value) else { continue }
                replyBytes = 0
                replyValues = 0
                return reply
            }
        }
    }

    private enum Step {
        case needsMore
        /// An aggregate was opened, and its elements follow.
        case opened
        case value(RedisValue)
    }

    /// Adds a value to the innermost open aggregate, and closes those that are complete with it.
    /// - Returns: The reply, if no aggregate is open any more.
    private mutating func close(_ first: RedisValue) -> RedisValue? {
        var value = first
        while let last = frames.indices.last {
            frames[last].elements.append(value)
            frames[last].missing -= 1
            guard frames[last].missing == 0 else { return nil }
            let frame = frames.removeLast()
            switch frame.aggregate {
            case .array: value = .array(frame.elements)
            case .set: value = .set(frame.elements)
            case .push: value = .push(frame.elements)
            case .map: value = Self.map(frame.elements)
            case .attribute: return nil
            }
        }
        return value
    }

    private static func map(_ elements: [RedisValue]) -> RedisValue {
        .map(stride(from: 0, to: elements.count, by: 2).map { .init(elements[$0], elements[$0 + 1]) })
    }

    // MARK: Values

    private mutating func readValue() throws(RESPFailure) -> Step {
        if let openString { return try readString(openString) }
        guard let line = try readLine() else { return .needsMore }
        replyValues += 1
        guard replyValues <= limits.values else { throw tooManyValues }
        switch line.marker {
        case UInt8(ascii: "+"): return .value(.bytes(text(of: line)))
        case UInt8(ascii: "-"): return .value(.error(RedisError(reply: String(buffer: text(of: line)))))
        case UInt8(ascii: ":"):
            guard let integer = number(line, RESPNumber.integer) else { throw RESPFailure("an integer is not valid") }
            return .value(.integer(integer))
        case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
            guard let length = try length(line) else { return .value(.null) }
            guard length <= limits.stringBytes else {
                throw RESPFailure("a string of \(length) bytes exceeds \(limits.stringBytes) bytes")
            }
            guard replyBytes + length <= limits.replyBytes else { throw tooLarge }
            return try readString(OpenString(marker: line.marker, length: length))
        case UInt8(ascii: "*"): return try open(.array, line)
        case UInt8(ascii: "~"): return try open(.set, line)
        case UInt8(ascii: "%"): return try open(.map, line)
        case UInt8(ascii: ">"): return try open(.push, line)
        case UInt8(ascii: "|"): return try open(.attribute, line)
        case UInt8(ascii: "_"):
            guard line.length == 0 else { throw RESPFailure("a null has a value") }
            return .value(.null)
        case UInt8(ascii: "#"):
            guard let boolean = number(line, RESPNumber.boolean) else { throw RESPFailure("a Boolean is not valid") }
            return .value(.boolean(boolean))
        case UInt8(ascii: ","):
            guard let double = number(line, RESPNumber.double) else { throw RESPFailure("a double is not valid") }
            return .value(.double(double))
        case UInt8(ascii: "("):
            guard let digits = number(line, RESPNumber.bigNumber) else {
                throw RESPFailure("a big number is not valid")
            }
            return .value(.bigNumber(digits))
        default: throw Self.unknown(line.marker)
        }
    }

    private var tooLarge: RESPFailure { RESPFailure("a reply exceeds \(limits.replyBytes) bytes") }
    private var tooManyValues: RESPFailure { RESPFailure("a reply has more than \(limits.values) values") }

    private mutating func open(_ aggregate: Aggregate, _ line: Line) throws(RESPFailure) -> Step {
        if aggregate == .push, !frames.isEmpty { throw RESPFailure("a push message is inside another value") }
        guard let count = try length(line) else { return .value(.null) }
        let perElement = aggregate == .map || aggregate == .attribute ? 2 : 1
        guard count <= (limits.values - replyValues) / perElement else { throw tooManyValues }
        guard count > 0 else {
            switch aggregate {
            case .array: return .value(.array([]))
            case .set: return .value(.set([]))
            case .map: return .value(.map([]))
            case .push: throw RESPFailure("a push message is empty")
            case .attribute: return .opened
            }
        }
        guard frames.count < limits.depth else { throw RESPFailure("values are nested over \(limits.depth) deep") }
        var frame = Frame(aggregate: aggregate, missing: count * perElement, elements: [])
        // The count is only what the server claims, so it reserves little.
        frame.elements.reserveCapacity(min(frame.missing, 1024))
        frames.append(frame)
        return .opened
    }

    private mutating func readString(_ string: OpenString) throws(RESPFailure) -> Step {
        guard buffer.readableBytes >= string.length + 2 else {
            openString = string
            return .needsMore
        }
        openString = nil
        guard var text = buffer.readSlice(length: string.length), buffer.readInteger(as: UInt16.self) == 0x0D0A else {
            throw RESPFailure("a string of \(string.length) bytes does not end with CR LF")
        }
        switch string.marker {
        case UInt8(ascii: "!"): return .value(.error(RedisError(reply: String(buffer: text))))
        case UInt8(ascii: "="):
            guard let format = text.readString(length: 3), text.readInteger(as: UInt8.self) == UInt8(ascii: ":") else {
                throw RESPFailure("a verbatim string has no format")
            }
            return .value(.verbatim(format: format, text))
        default: return .value(.bytes(text))
        }
    }

    // MARK: Lines

    /// A line that was read: the marker of a value and the text up to the line terminator.
    private struct Line {
        let marker: UInt8
        /// The index of the text in the buffer.
        let start: Int
        let length: Int
    }

    private mutating func readLine() throws(RESPFailure) -> Line? {
        let start = searched
        // One access to the bytes for all that is asked of them: this runs for each value.
        let (marker, end, hasCR) = buffer.withUnsafeReadableBytes { bytes -> (UInt8?, Int?, Bool) in
            var index = start
            while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
            guard index < bytes.count else { return (bytes.first, nil, false) }
            return (bytes.first, index, index > 0 && bytes[index - 1] == UInt8(ascii: "\r"))
        }
        guard end ?? buffer.readableBytes <= RESPLimits.lineBytes else {
            throw RESPFailure("a line exceeds \(RESPLimits.lineBytes) bytes")
        }
        guard let end else {
            searched = buffer.readableBytes
            // Another protocol, such as TLS or HTTP, is recognised without waiting for a line.
            if let marker, !Self.isMarker(marker) { throw Self.unknown(marker) }
            return nil
        }
        searched = 0
        guard end >= 2, hasCR, let marker else { throw RESPFailure("a line is empty or does not end with CR LF") }
        let line = Line(marker: marker, start: buffer.readerIndex + 1, length: end - 2)
        buffer.moveReaderIndex(forwardBy: end + 1)
        return line
    }

    private func text(of line: Line) -> ByteBuffer {
        var text = buffer
        text.moveReaderIndex(to: line.start)
        return text.readSlice(length: line.length) ?? ByteBuffer()
    }

    /// Parses the text of a line in place.
    private func number<Number>(_ line: Line, _ parse: (UnsafeRawBufferPointer) -> Number?) -> Number? {
        buffer.withVeryUnsafeBytes { bytes in
            parse(UnsafeRawBufferPointer(rebasing: bytes[line.start..<line.start + line.length]))
        }
    }

    /// Reads the length of a string or an aggregate.
    /// - Returns: `nil` for the null string and the null array of RESP2.
    private func length(_ line: Line) throws(RESPFailure) -> Int? {
        if let length = number(line, RESPNumber.length) { return length }
        let text = text(of: line)
        if text == ByteBuffer(string: "?") { throw RESPFailure("streamed replies are not supported") }
        let isNullable = line.marker == UInt8(ascii: "$") || line.marker == UInt8(ascii: "*")
        guard isNullable, text == ByteBuffer(string: "-1") else { throw RESPFailure("a length is not valid") }
        return nil
    }

    private static func isMarker(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "$"), UInt8(ascii: "!"),
            UInt8(ascii: "="), UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: ">"),
            UInt8(ascii: "|"), UInt8(ascii: "_"), UInt8(ascii: "#"), UInt8(ascii: ","), UInt8(ascii: "("):
            true
        default: false
        }
    }

    private static func unknown(_ marker: UInt8) -> RESPFailure {
        switch marker {
        case UInt8(ascii: ";"), UInt8(ascii: "."): RESPFailure("streamed replies are not supported")
        default: RESPFailure("no value of the Redis protocol begins with the byte 0x\(String(marker, radix: 16))")
        }
    }
}
