/// Encodes and decodes frames (RFC 9113 §4.1).
enum HTTP2Bytes {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])

    static func frame(_ type: UInt8, _ flags: UInt8, _ stream: Int, _ payload: [UInt8]) -> [UInt8] {
        let id = UInt32(stream)
        return [
            UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 0xFF), UInt8(payload.count & 0xFF), type, flags,
            UInt8(id >> 24), UInt8(id >> 16 & 0xFF), UInt8(id >> 8 & 0xFF), UInt8(id & 0xFF),
        ] + payload
    }

    /// GET http://a/ from HPACK's static table, without END_STREAM.
    static func open(_ index: Int) -> [UInt8] { frame(1, 4, index * 2 + 1, [0x82, 0x86, 0x84, 0x41, 1, 0x61]) }

    /// An extended CONNECT to /tunnel.
    static func tunnel(_ index: Int, isEnd: Bool = false) -> [UInt8] {
        func field(_ name: String, _ value: String) -> [UInt8] {
            [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        let head =
            field(":method", "CONNECT") + field(":protocol", "websocket") + field(":scheme", "http")
            + field(":path", "/tunnel") + field(":authority", "a")
        return frame(1, isEnd ? 5 : 4, index * 2 + 1, head)
    }

    /// An extended CONNECT to /tunnel, followed by its reset.
    static func tunnelAndReset(_ index: Int) -> [UInt8] { tunnel(index) + frame(3, 0, index * 2 + 1, [0, 0, 0, 8]) }

    /// GET http://a/ without END_STREAM, followed by its reset.
    @Sendable static func openAndReset(_ index: Int) -> [UInt8] {
        open(index) + frame(3, 0, index * 2 + 1, [0, 0, 0, 8])
    }

    /// Returns the complete frames of a type.
    static func frames(_ type: UInt8, in bytes: [UInt8]) -> [(stream: Int, payload: [UInt8])] {
        var found: [(stream: Int, payload: [UInt8])] = []
        var index = 0
        while index + 9 <= bytes.count {
            let length = bytes[index..<index + 3].reduce(0) { $0 << 8 | Int($1) }
            let stream = bytes[index + 5..<index + 9].reduce(0) { $0 << 8 | Int($1) }
            guard index + 9 + length <= bytes.count else { break }
            if bytes[index + 3] == type { found.append((stream, Array(bytes[index + 9..<index + 9 + length]))) }
            index += 9 + length
        }
        return found
    }

    /// Returns the error code of the first GOAWAY that has one other than NO_ERROR.
    static func goAwayCode(in bytes: [UInt8]) -> UInt8? {
        frames(7, in: bytes).map { $0.payload[7] }.first { $0 != 0 }
    }
}
