import FoundationEssentials
import NIOCore
import NIOPosix

/// Decodes the base64 body of a gRPC-Web request, a concatenation of encoded segments that may each end with padding.
struct Base64Text {
    /// The bytes of an incomplete group of four.
    private var rest: [UInt8] = []

    /// The maximum number of bytes to decode on the event loop; larger bodies are decoded on the thread pool.
    private static let maximumOnLoop = 64 << 10

    static func decode(_ text: ByteBuffer) async throws -> ByteBuffer {
        guard text.readableBytes > maximumOnLoop else { return try decodeNow(text) }
        return try await NIOThreadPool.singleton.runIfActive { try decodeNow(text) }
    }

    private static func decodeNow(_ text: ByteBuffer) throws -> ByteBuffer {
        var decoder = Base64Text()
        let bytes = try decoder.decode(text)
        try decoder.finish()
        return bytes
    }

    /// Decodes all complete groups.
    /// - Throws: An `AppError` with code `internal` for invalid base64.
    mutating func decode(_ text: ByteBuffer) throws -> ByteBuffer {
        var bytes = ByteBuffer()
        rest += text.readableBytesView
        let count = rest.count / 4 * 4
        // Padding ends a segment, and Foundation decodes one segment at a time.
        var start = 0
        for end in stride(from: 4, through: count, by: 4) where end == count || rest[end - 1] == UInt8(ascii: "=") {
            // Foundation accepts a group that consists only of padding.
            guard rest[end - 3] != UInt8(ascii: "="), let data = Data(base64Encoded: Data(rest[start..<end])) else {
                throw MessageReader.malformed("invalid base64")
            }
            bytes.writeBytes(data)
            start = end
        }
        rest.removeFirst(count)
        return bytes
    }

    /// - Throws: An `AppError` with code `internal` if the body ends within a group of four.
    func finish() throws {
        guard rest.isEmpty else { throw MessageReader.malformed("truncated base64") }
    }

    static func encode(_ bytes: ByteBuffer) -> ByteBuffer {
        ByteBuffer(string: Data(bytes.readableBytesView).base64EncodedString())
    }
}
