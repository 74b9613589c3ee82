import ApusHTTP
package import HTTPTypes
package import NIOCore

/// Writes a response's header (RFC 9112 §4). How the body is framed, the connection's fate and the date are the engine's to
/// say; whatever the handler wrote in those fields is left out.
package enum ResponseHeadEncoder {
    package enum Framing: Equatable {
        /// The status has no body by definition.
        case none
        case length(Int)
        case chunked
        /// The end of the connection ends the body: for HTTP/1.0.
        case close
    }

    /// - Parameter dateLine: The whole `Date` field with its line end.
    package static func encode(
        status: HTTPResponse.Status, headers: HTTPFields, framing: Framing, keepAlive: Bool, isVersion10: Bool,
        dateLine: [UInt8], into buffer: inout ByteBuffer
    ) {
        var size = 128 + status.reasonPhrase.utf8.count + dateLine.count
        for field in headers { size += field.name.rawName.utf8.count + field.value.utf8.count + 4 }
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
            var writer = HeadWriter(space)
            writer.write(status)
            for field in headers where !isReserved(field.name) { writer.write(field) }
            switch framing {
            case .none, .close: break
            case .length(let length):
                writer.write("Content-Length: ")
                writer.write(length)
                writer.write("\r\n")
            case .chunked: writer.write("Transfer-Encoding: chunked\r\n")
            }
            if !keepAlive {
                writer.write("Connection: close\r\n")
            } else if isVersion10 {
                writer.write("Connection: keep-alive\r\n")
            }
            writer.write(dateLine)
            writer.write("\r\n")
            return writer.count
        }
    }

    /// The head of a response that turns the connection to another protocol.
    static func encodeUpgrade(headers: HTTPFields, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n")
        for field in headers where !isReserved(field.name) {
            buffer.writeString("\(field.name.rawName): \(field.value)\r\n")
        }
        buffer.writeStaticString("\r\n")
    }

    private static func isReserved(_ name: HTTPField.Name) -> Bool {
        let name = name.canonicalName
        return switch name.utf8.count {
        case 4: name == "date"
        case 10: name == "connection" || name == "keep-alive"
        case 14: name == "content-length"
        case 17: name == "transfer-encoding"
        default: false
        }
    }
}

/// Writes into space that was measured before.
private struct HeadWriter {
    private let space: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ space: UnsafeMutableRawBufferPointer) { self.space = space }

    mutating func write(_ status: HTTPResponse.Status) {
        if status.code == 200, status.reasonPhrase == "OK" { return write("HTTP/1.1 200 OK\r\n") }
        write("HTTP/1.1 ")
        write(status.code)
        write(" ")
        write(text: status.reasonPhrase)
        write("\r\n")
    }

    mutating func write(_ field: HTTPField) {
        write(text: field.name.rawName)
        write(": ")
        write(text: field.value)
        write("\r\n")
    }

    mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    mutating func write(text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    mutating func write(_ number: Int) {
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
        guard let source = bytes.baseAddress else { return }
        precondition(bytes.count <= space.count - count, "The header is longer than it was measured.")
        (space.baseAddress! + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }
}
