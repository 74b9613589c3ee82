import ApusTesting
import NIOCore
import NIOHPACK

/// A call as HTTP/2 frames, for clients that send half a message or read nothing.
struct RawCall {
    /// How a call ended.
    struct End {
        /// The fields of the head and the trailers.
        var fields: [String: String] = [:]
        /// The error code of RST_STREAM; `nil` if the stream was not reset.
        var reset: UInt32?
    }

    let method: String
    var fields: [(name: String, value: String)] = []
    /// How many bytes of the answer the client accepts; `nil` for the default of HTTP/2.
    var window: UInt8?
    var body: [UInt8] = []
    var isEnd = false

    /// Makes the call, and returns how the server ended it.
    func end(port: Int) async throws -> End {
        let connection = try await RawConnection.connect(port: port)
        defer { connection.close() }
        try await connection.write(ByteBuffer(bytes: bytes))
        var decoder = HPACKDecoder(allocator: ByteBufferAllocator())
        var (received, end) = (ByteBuffer(), End())
        while let more = try await connection.read() {
            received.writeImmutableBuffer(more)
            while let frame = Self.readFrame(from: &received) {
                guard frame.stream == 1 else { continue }
                if frame.type == 1 {
                    var block = frame.payload
                    for (name, value, _) in try decoder.decodeHeaders(from: &block) { end.fields[name] = value }
                    if frame.flags & 1 == 1 { return end }
                } else if frame.type == 3 {
                    end.reset = frame.payload.getInteger(at: frame.payload.readerIndex)
                    return end
                }
            }
        }
        return end
    }

    private var bytes: [UInt8] {
        let path = "/apus.test.Interop/" + method
        let head = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ]
        var block: [UInt8] = []
        for (name, value) in head { block += Self.field(name, value) }
        for (name, value) in fields { block += Self.field(name, value) }
        var bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        if let window {
            bytes += Self.frame(4, 0, 0, [0, 4, 0, 0, 0, window])
        } else {
            bytes += Self.frame(4, 0, 0, [])
        }
        bytes += Self.frame(1, 4, 1, block)
        bytes += Self.frame(0, isEnd ? 1 : 0, 1, body)
        return bytes
    }

    /// Encodes a field without compression (RFC 7541 §6.2.2).
    private static func field(_ name: String, _ value: String) -> [UInt8] {
        var bytes: [UInt8] = [0, UInt8(name.utf8.count)]
        bytes += name.utf8
        bytes.append(UInt8(value.utf8.count))
        bytes += value.utf8
        return bytes
    }

    /// Encodes a frame (RFC 9113 §4.1).
    private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF), type, flags, 0, 0, 0, stream]
            + payload
    }

    private static func readFrame(
        from bytes: inout ByteBuffer
    ) -> (type: UInt8, flags: UInt8, stream: UInt32, payload: ByteBuffer)? {
        let start = bytes.readerIndex
        guard let prefix: UInt32 = bytes.getInteger(at: start), let flags: UInt8 = bytes.getInteger(at: start + 4),
            let stream: UInt32 = bytes.getInteger(at: start + 5),
            let payload = bytes.getSlice(at: start + 9, length: Int(prefix >> 8))
        else { return nil }
        bytes.moveReaderIndex(forwardBy: 9 + payload.readableBytes)
        return (UInt8(truncatingIfNeeded: prefix), flags, stream, payload)
    }
}
