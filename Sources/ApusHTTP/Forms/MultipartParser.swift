import ApusCore
package import HTTPTypes
package import NIOCore

/// An incremental parser of `multipart/form-data` bodies (RFC 7578, RFC 2046 §5.1). It does no I/O.
///
/// Parsing is strict: lines must end in CR LF, and a body must not end before its closing delimiter.
package struct MultipartParser {
    package enum Event: Equatable {
        /// A part begins.
        case part(HTTPFields)
        /// Content of the current part: at most the bytes of one `append(_:)`.
        case bytes(ByteBuffer)
        /// The current part ends.
        case end
        /// The closing delimiter was reached; any bytes after it are ignored.
        case finished
    }

    private enum State {
        /// Before the first delimiter.
        case preamble
        /// After a delimiter, at the line break that ends its line.
        case header
        /// After a header, at the line break that ends it, which may be the beginning of a delimiter.
        case contentStart
        case content
        /// After the closing delimiter.
        case closing
        case epilogue
    }

    /// The maximum size of a part's header, in bytes.
    static let maximumHeaderSize = 8 << 10

    private let delimiter: [UInt8]
    private var buffer: ByteBuffer
    private var state = State.preamble

    /// Creates a parser.
    /// - Parameter boundary: The boundary, 1 to 70 characters (RFC 2046 §5.1.1).
    /// - Throws: An `AppError` with code `invalidArgument` if the boundary is not valid.
    package init(boundary: String) throws {
        guard (1...70).contains(boundary.utf8.count), boundary.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
            boundary.last != " "
        else {
            throw Self.malformed(
                "the boundary must have 1 to 70 printable ASCII characters and must not end in a space")
        }
        delimiter = Array("\r\n--\(boundary)".utf8)
        // The body may begin with the first delimiter, which then lacks its line break.
        buffer = ByteBuffer(string: "\r\n")
    }

    /// Appends bytes of the body.
    package mutating func append(_ bytes: ByteBuffer) {
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(bytes)
    }

    /// Returns the next event; `nil` if more bytes are needed.
    /// - Throws: An `AppError` with code `invalidArgument` if the body is malformed.
    package mutating func next() throws -> Event? {
        while true {
            switch state {
            case .preamble:
                guard let start = index(of: delimiter) else {
                    // Discard all bytes that cannot be the beginning of a delimiter.
                    let retained = min(buffer.readableBytes, delimiter.count - 1)
                    buffer.moveReaderIndex(forwardBy: buffer.readableBytes - retained)
                    return nil
                }
                guard let isLast = try passDelimiter(at: start) else { return nil }
                state = isLast ? .closing : .header
            case .header: return try header().map { .part($0) }
            case .contentStart:
                guard buffer.readableBytes >= delimiter.count else { return nil }
                if !buffer.readableBytesView.starts(with: delimiter) { buffer.moveReaderIndex(forwardBy: 2) }
                state = .content
            case .content: return try content()
            case .closing:
                state = .epilogue
                return .finished
            case .epilogue:
                buffer.clear()
                return nil
            }
        }
    }

    /// Checks that the body is complete.
    /// - Throws: An `AppError` with code `invalidArgument` if the closing delimiter is missing.
    package func finish() throws {
        guard state == .epilogue else { throw Self.malformed("the closing delimiter is missing") }
    }

    private mutating func header() throws -> HTTPFields? {
        guard let end = index(of: Array("\r\n\r\n".utf8)) else {
            guard buffer.readableBytes <= Self.maximumHeaderSize else { throw Self.headerTooLarge }
            return nil
        }
        let length = end - buffer.readerIndex
        guard length <= Self.maximumHeaderSize else { throw Self.headerTooLarge }
        let bytes = buffer.readSlice(length: length) ?? ByteBuffer()
        buffer.moveReaderIndex(forwardBy: 2)
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw Self.malformed("the header of a part is not valid UTF-8")
        }
        var fields = HTTPFields()
        for line in text.split(at: "\n") {
            let line = line.utf8.last == UInt8(ascii: "\r") ? Substring(line.utf8.dropLast()) : line
            guard !line.isEmpty else { continue }
            guard let (before, after) = line.cut(at: ":"), let name = HTTPField.Name(String(before)) else {
                throw Self.malformed("a line in the header of a part is not a valid field")
            }
            let value = String(after.trimmed)
            guard HTTPField.isValidValue(value) else {
                throw Self.malformed("a field in the header of a part has control characters")
            }
            fields.append(HTTPField(name: name, value: value))
        }
        state = .contentStart
        return fields
    }

    private mutating func content() throws -> Event? {
        guard let start = index(of: delimiter) else {
            let safe = buffer.readableBytes - (delimiter.count - 1)
            guard safe > 0, let bytes = buffer.readSlice(length: safe) else { return nil }
            return .bytes(bytes)
        }
        if start > buffer.readerIndex, let bytes = buffer.readSlice(length: start - buffer.readerIndex) {
            return .bytes(bytes)
        }
        guard let isLast = try passDelimiter(at: start) else { return nil }
        state = isLast ? .closing : .header
        return .end
    }

    /// Consumes a delimiter and the rest of its line up to the line break, with which the header begins. The rest is `--` for
    /// the closing delimiter, and optional whitespace for others.
    /// - Returns: Whether it is the closing delimiter; `nil`, without consuming anything, if more bytes are needed.
    private mutating func passDelimiter(at start: Int) throws -> Bool? {
        var index = start + delimiter.count
        guard index + 2 <= buffer.writerIndex else { return nil }
        if buffer.getBytes(at: index, length: 2) == Array("--".utf8) {
            buffer.moveReaderIndex(to: index + 2)
            return true
        }
        while let byte = buffer.getInteger(at: index, as: UInt8.self), byte == 0x20 || byte == 0x09 {
            index += 1
            guard index - start < delimiter.count + 256 else {
                throw Self.malformed("the line of a delimiter is too long")
            }
        }
        guard index + 2 <= buffer.writerIndex else { return nil }
        guard buffer.getBytes(at: index, length: 2) == Array("\r\n".utf8) else {
            throw Self.malformed("a delimiter is followed by other text on its line")
        }
        buffer.moveReaderIndex(to: index)
        return false
    }

    private func index(of pattern: [UInt8]) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            guard bytes.count >= pattern.count, let first = pattern.first else { return nil }
            let last = bytes.count - pattern.count
            var index = 0
            while index <= last {
                if bytes[index] == first {
                    var offset = 1
                    while offset < pattern.count, bytes[index + offset] == pattern[offset] { offset += 1 }
                    if offset == pattern.count { return buffer.readerIndex + index }
                }
                index += 1
            }
            return nil
        }
    }

    private static let headerTooLarge = malformed("the header of a part is larger than \(maximumHeaderSize) bytes")

    static func malformed(_ reason: String) -> AppError {
        AppError(.invalidArgument, "The body is not valid multipart/form-data: \(reason).")
    }
}
