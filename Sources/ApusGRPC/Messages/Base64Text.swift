import FoundationEssentials
import NIOCore
import NIOPosix

/// Decodes a body of gRPC-Web in base64: pieces of it that may each have padding at their end.
struct Base64Text {
    /// What is left of the last group of four.
    private var rest: [UInt8] = []

    /// More than this is decoded on a thread of its own.
    private static let mostOnLoop = 64 << 10

    static func decode(_ text: ByteBuffer) async throws -> ByteBuffer {
        guard text.readableBytes > mostOnLoop else { return try decodeNow(text) }
        return try await NIOThreadPool.singleton.runIfActive { try decodeNow(text) }
    }

    private static func decodeNow(_ text: ByteBuffer) throws -> ByteBuffer {
        var decoder = Base64Text()
        let bytes = try decoder.decode(text)
        try decoder.finish()
        return bytes
    }

    /// - Throws: An `AppError` of code `internal` for what is not base64.
    mutating func decode(_ text: ByteBuffer) throws -> ByteBuffer {
        var bytes = ByteBuffer()
        rest += text.readableBytesView
        let count = rest.count / 4 * 4
        // Padding ends what was encoded at once, and a decoder's input.
        var start = 0
        for end in stride(from: 4, through: count, by: 4) where end == count || rest[end - 1] == UInt8(ascii: "=") {
            // Foundation takes a group of nothing but padding.
            guard rest[end - 3] != UInt8(ascii: "="), let data = Data(base64Encoded: Data(rest[start..<end])) else {
                throw MessageReader.malformed("the body is not base64")
            }
            bytes.writeBytes(data)
            start = end
        }
        rest.removeFirst(count)
        return bytes
    }

    func finish() throws {
        guard rest.isEmpty else { throw MessageReader.malformed("the body ends within a group of base64") }
    }

    static func encode(_ bytes: ByteBuffer) -> ByteBuffer {
        ByteBuffer(string: Data(bytes.readableBytesView).base64EncodedString())
    }
}
