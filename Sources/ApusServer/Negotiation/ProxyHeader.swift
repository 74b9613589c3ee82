package import ApusCore
package import NIOCore

/// The header in which a load balancer announces the client of a connection: PROXY protocol, versions 1 and 2
/// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt).
package enum ProxyHeader {
    package enum Outcome: Equatable {
        /// The header is incomplete.
        case incomplete
        /// The address of the client; `nil` for the load balancer's own connections, such as health checks.
        case client(IPAddress?)
        case malformed
    }

    /// The maximum size of a version 2 header with its additional fields, in bytes. Load balancers send about a
    /// hundred.
    static let maximumLength = 4096

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// Reads the header and consumes nothing after it.
    package static func read(from buffer: inout ByteBuffer) -> Outcome {
        let bytes = buffer.readableBytesView
        if bytes.starts(with: signature.prefix(bytes.count)) {
            return bytes.count < 16 ? .incomplete : readBinary(from: &buffer)
        }
        return readText(from: &buffer)
    }

    // MARK: Version 1

    /// Reads a header such as `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`. Its maximum length is 107 bytes.
    private static func readText(from buffer: inout ByteBuffer) -> Outcome {
        let bytes = buffer.readableBytesView
        guard bytes.starts(with: "PROXY ".utf8.prefix(bytes.count)) else { return .malformed }
        guard let end = bytes.prefix(107).firstIndex(of: UInt8(ascii: "\n")) else {
            return bytes.count < 107 ? .incomplete : .malformed
        }
        let line = bytes[..<end]
        guard line.last == UInt8(ascii: "\r") else { return .malformed }
        let fields = String(decoding: line.dropLast(), as: UTF8.self).split(at: " ", omittingEmpty: false)
        buffer.moveReaderIndex(forwardBy: line.count + 1)
        if fields.count >= 2, fields[1] == "UNKNOWN" { return .client(nil) }
        guard fields.count == 6, fields[1] == "TCP4" || fields[1] == "TCP6",
            let source = address(fields[2], family: fields[1]), address(fields[3], family: fields[1]) != nil,
            isPort(fields[4]), isPort(fields[5])
        else { return .malformed }
        return .client(source)
    }

    private static func address(_ text: Substring, family: Substring) -> IPAddress? {
        text.contains(":") == (family == "TCP6") ? IPAddress(String(text)) : nil
    }

    private static func isPort(_ text: Substring) -> Bool { text.utf8.allSatisfy(\.isDigit) && UInt16(text) != nil }

    // MARK: Version 2

    private static func readBinary(from buffer: inout ByteBuffer) -> Outcome {
        let start = buffer.readerIndex
        guard let kind = buffer.getInteger(at: start + 12, as: UInt8.self),
            let family = buffer.getInteger(at: start + 13, as: UInt8.self),
            let length = buffer.getInteger(at: start + 14, as: UInt16.self).map(Int.init), 16 + length <= maximumLength
        else { return .malformed }
        guard buffer.readableBytes >= 16 + length else { return .incomplete }
        let addresses = buffer.getBytes(at: start + 16, length: length) ?? []
        buffer.moveReaderIndex(forwardBy: 16 + length)
        switch (kind, family >> 4) {
        case (0x20, _): return .client(nil)
        case (0x21, 0): return .client(nil)
        case (0x21, 1) where length >= 12: return .client(IPAddress(bytes: addresses.prefix(4)))
        case (0x21, 2) where length >= 36: return .client(IPAddress(bytes: addresses.prefix(16)))
        case (0x21, 3) where length >= 216: return .client(nil)
        default: return .malformed
        }
    }
}
