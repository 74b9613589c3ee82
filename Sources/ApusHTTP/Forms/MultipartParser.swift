import ApusCore
package import HTTPTypes
package import NIOCore

/// Cuts a `multipart/form-data` body (RFC 7578, RFC 2046 §5.1) into its parts, in whatever pieces it comes. No I/O.
///
/// Strict: lines end in CR LF, a body that ends before the closing delimiter is an error.
package struct MultipartParser {
    package enum Event: Equatable {
        /// A part begins.
        case part(HTTPFields)
        /// Bytes of the present part. At most what came in one piece.
        case bytes(ByteBuffer)
        /// The present part has ended.
        case end
        /// The body has ended; what follows is no part of the form.
        case finished
    }

    private enum State {
        /// Before the first delimiter.
        case preamble
        /// After a delimiter, at the line break that ends its line.
        case header
        /// After a header, at the line break that ends it: a delimiter may begin with it.
        case contentStart
        case content
        /// After the last delimiter.
        case closing
        case epilogue
    }

    /// Bytes of one part's header.
    static let maximumHeader = 8 << 10

    private let delimiter: [UInt8]
    private var buffer: ByteBuffer
    private var state = State.preamble

    /// - Parameter boundary: 1 to 70 characters (RFC 2046 §5.1.1).
    package init(boundary: String) throws {
        guard (1...70).contains(boundary.utf8.count), boundary.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
            boundary.last != " "
        else { throw Self.malformed("its boundary must have 1 to 70 printable characters") }
        delimiter = Array("\r\n--\(boundary)".utf8)
        // The first delimiter may be the very beginning.
        buffer = ByteBuffer(string: "\r\n")
    }

    package mutating func append(_ bytes: ByteBuffer) {
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next event; `nil` until more has come.
    /// - Throws: An `AppError` of code `invalidArgument` that says what is malformed.
    package mutating func next() throws -> Event? {
        while true {
            switch state {
            case .preamble:
                guard let start = index(of: delimiter) else {
                    // What cannot be the beginning of a delimiter any more is not needed.
                    let kept = min(buffer.readableBytes, delimiter.count - 1)
                    buffer.moveReaderIndex(forwardBy: buffer.readableBytes - kept)
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

    /// - Throws: When the body has ended and should not have.
    package func finish() throws {
        guard state == .epilogue else { throw Self.malformed("it ends before its last delimiter") }
    }

    private mutating func header() throws -> HTTPFields? {
        guard let end = index(of: Array("\r\n\r\n".utf8)) else {
            guard buffer.readableBytes <= Self.maximumHeader else { throw Self.headerTooLarge }
            return nil
        }
        let length = end - buffer.readerIndex
        guard length <= Self.maximumHeader else { throw Self.headerTooLarge }
        let bytes = buffer.readSlice(length: length) ?? ByteBuffer()
        buffer.moveReaderIndex(forwardBy: 2)
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw Self.malformed("the header of a part is not UTF-8")
        }
        var fields = HTTPFields()
        for line in text.split(at: "\n") {
            let line = line.utf8.last == UInt8(ascii: "\r") ? Substring(line.utf8.dropLast()) : line
            guard !line.isEmpty else { continue }
            guard let (before, after) = line.cut(at: ":"), let name = HTTPField.Name(String(before)) else {
                throw Self.malformed("the header of a part is not a list of fields")
            }
            let value = String(after.trimmed)
            guard HTTPField.isValidValue(value) else {
                throw Self.malformed("a field of a part has control characters")
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

    /// Reads a delimiter and what follows it on its line: `--` for the last one, else blanks. The line break stays: the
    /// header begins with it.
    /// - Returns: Whether it is the last one; `nil` until that is known. Then nothing is read yet.
    private mutating func passDelimiter(at start: Int) throws -> Bool? {
        var index = start + delimiter.count
        guard index + 2 <= buffer.writerIndex else { return nil }
        if buffer.getBytes(at: index, length: 2) == Array("--".utf8) {
            buffer.moveReaderIndex(to: index + 2)
            return true
        }
        while let byte = buffer.getInteger(at: index, as: UInt8.self), byte == 0x20 || byte == 0x09 {
            index += 1
            guard index - start < delimiter.count + 256 else { throw Self.malformed("a delimiter's line is too long") }
        }
        guard index + 2 <= buffer.writerIndex else { return nil }
        guard buffer.getBytes(at: index, length: 2) == Array("\r\n".utf8) else {
            throw Self.malformed("something follows a delimiter on its line")
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

    private static let headerTooLarge = malformed("the header of a part is larger than \(maximumHeader) bytes")

    static func malformed(_ what: String) -> AppError {
        AppError(.invalidArgument, "The body is not valid multipart/form-data: \(what).")
    }
}
