import ApusHTTP
package import HTTPTypes
package import NIOCore

/// Encodes the head of a response (RFC 9112 §4). The server determines the framing, whether the connection stays open,
/// and the date; the handler's fields about these are omitted.
package enum ResponseHeadEncoder {
    package enum Framing: Equatable {
        /// The status allows no body.
        case none
        case length(Int)
        case chunked
        /// The body ends with the connection, in HTTP/1.0.
        case close
    }

    /// Encodes a head.
    /// - Parameter dateLine: The complete `Date` field with its line ending.
    package static func encode(
        status: HTTPResponse.Status, headers: HTTPFields, framing: Framing, keepAlive: Bool, isVersion10: Bool,
        dateLine: [UInt8], into buffer: inout ByteBuffer
    ) {
        // If a head does not fit, the attempt tells its size, so that heads that fit need not be measured.
        var room = 256
        while room > 0 {
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { space in
                var writer = HeadWriter(space)
                writer.write(status)
                var hasUpgrade = false
                for field in headers where !isReserved(field) {
                    if field.name.canonicalName.utf8.count == 7, field.name == .upgrade {
                        // HTTP/1.0 has no upgrades (RFC 9110 §7.8).
                        if isVersion10 { continue }
                        hasUpgrade = true
                    }
                    writer.write(field)
                }
                writer.write(framing)
                if hasUpgrade {
                    // Whoever sends `Upgrade` names it in `Connection`, so that no proxy passes it on.
                    writer.write(keepAlive ? "Connection: upgrade\r\n" : "Connection: close, upgrade\r\n")
                } else if !keepAlive {
                    writer.write("Connection: close\r\n")
                } else if isVersion10 {
                    writer.write("Connection: keep-alive\r\n")
                }
                writer.write(dateLine)
                writer.write("\r\n")
                room = writer.isComplete ? 0 : writer.count
                return writer.isComplete ? writer.count : 0
            }
        }
    }

    /// Encodes the head of a response that switches protocols.
    static func encodeUpgrade(headers: HTTPFields, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n")
        for field in headers where !isReserved(field) {
            buffer.writeString("\(field.name.rawName): \(field.value)\r\n")
        }
        buffer.writeStaticString("\r\n")
    }

    private static func isReserved(_ field: borrowing HTTPField) -> Bool {
        switch field.name.canonicalName.utf8.count {
        case 4: field.name == .date
        case 10: field.name == .connection || field.name.canonicalName == "keep-alive"
        case 14: field.name == .contentLength
        case 17: field.name == .transferEncoding
        default: false
        }
    }
}

/// Writes into a space of fixed size. Beyond its end, bytes are only counted.
private struct HeadWriter {
    private let space: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ space: UnsafeMutableRawBufferPointer) { self.space = space }

    /// Whether all bytes fitted.
    var isComplete: Bool { count <= space.count }

    mutating func write(_ status: HTTPResponse.Status) {
        if status.code == 200, status.reasonPhrase == "OK" { return write("HTTP/1.1 200 OK\r\n") }
        write("HTTP/1.1 ")
        write(status.code)
        write(" ")
        write(text: status.reasonPhrase)
        write("\r\n")
    }

    mutating func write(_ framing: ResponseHeadEncoder.Framing) {
        switch framing {
        case .none, .close: break
        case .length(let length):
            write("Content-Length: ")
            write(length)
            write("\r\n")
        case .chunked: write("Transfer-Encoding: chunked\r\n")
        }
    }

    mutating func write(_ field: borrowing HTTPField) {
        write(text: field.name.rawName)
        write(": ")
        field.withUnsafeBytesOfValue { write(UnsafeRawBufferPointer($0)) }
        write("\r\n")
    }

    mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    private mutating func write(text: borrowing String) {
        text.utf8Span.span.withUnsafeBytes { write($0) }
    }

    private mutating func write(_ number: Int) {
        var number = number.magnitude
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var start = 20
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10)
                number /= 10
            } while number > 0
            write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[start...]))
        }
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) {
        defer { count += bytes.count }
        guard bytes.count <= space.count - count, let source = bytes.baseAddress, let start = space.baseAddress else {
            return
        }
        (start + count).copyMemory(from: source, byteCount: bytes.count)
    }
}
