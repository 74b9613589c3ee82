import ApusHTTP
import HTTPTypes
import NIOCore

/// Writes a response's header (RFC 9112 §4). How the body is framed, the connection's fate and the date are the engine's to
/// say; whatever the handler wrote in those fields is left out.
enum ResponseHeadEncoder {
    enum Framing: Equatable {
        /// The status has no body by definition.
        case none
        case length(Int)
        case chunked
        /// The end of the connection ends the body: for HTTP/1.0.
        case close
    }

    static func encode(
        status: HTTPResponse.Status, headers: HTTPFields, framing: Framing, keepAlive: Bool, isVersion10: Bool,
        date: String, into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(status.code))
        buffer.writeStaticString(" ")
        buffer.writeString(status.reasonPhrase)
        buffer.writeStaticString("\r\n")
        for field in headers where !isReserved(field.name) {
            buffer.writeString(field.name.rawName)
            buffer.writeStaticString(": ")
            buffer.writeString(field.value)
            buffer.writeStaticString("\r\n")
        }
        switch framing {
        case .none, .close: break
        case .length(let length):
            buffer.writeStaticString("Content-Length: ")
            buffer.writeString(String(length))
            buffer.writeStaticString("\r\n")
        case .chunked: buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
        }
        if !keepAlive {
            buffer.writeStaticString("Connection: close\r\n")
        } else if isVersion10 {
            buffer.writeStaticString("Connection: keep-alive\r\n")
        }
        buffer.writeStaticString("Date: ")
        buffer.writeString(date)
        buffer.writeStaticString("\r\n\r\n")
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
        switch name {
        case .contentLength, .transferEncoding, .connection, .date: true
        default: false
        }
    }
}
