import ApusCore
import CZlib
import NIOCore

/// Decompresses a stream of bytes, by libz, piece by piece: no more is made at once than is asked for.
final class Inflater {
    private var stream = z_stream()
    private var input = ByteBuffer()
    private let coding: ContentCoding
    /// Whether the end of the compressed stream was seen.
    private(set) var isFinished = false

    init(_ coding: ContentCoding) {
        self.coding = coding
        let windowBits: Int32 = coding == .gzip ? 15 + 16 : 15
        let result = inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "libz has no memory.")
    }

    deinit { inflateEnd(&stream) }

    /// Gives it more to read.
    func append(_ bytes: ByteBuffer) { input.appendReclaiming(bytes) }

    /// The next bytes, at most so many; `nil` when more has to come first.
    /// - Throws: An `AppError` of code `invalidArgument` for what is not compressed so, or goes on after its end.
    func next(atMost count: Int) throws -> ByteBuffer? {
        guard !isFinished else {
            guard input.readableBytes == 0 else { throw malformed("something follows its end") }
            return nil
        }
        guard input.readableBytes > 0 else { return nil }
        var output = ByteBufferAllocator().buffer(capacity: count)
        var result = Z_OK
        let consumed = input.withUnsafeReadableBytes { bytes in
            stream.next_in = UnsafeMutablePointer(mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
            stream.avail_in = UInt32(bytes.count)
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
                let room = min(count, memory.count)
                stream.next_out = memory.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(room)
                result = inflate(&stream, Z_NO_FLUSH)
                return room - Int(stream.avail_out)
            }
            stream.next_in = nil
            return bytes.count - Int(stream.avail_in)
        }
        input.moveReaderIndex(forwardBy: consumed)
        switch result {
        case Z_STREAM_END: isFinished = true
        case Z_OK, Z_BUF_ERROR: break
        default: throw malformed("it cannot be decompressed")
        }
        return output.readableBytes > 0 ? output : nil
    }

    /// - Throws: When the compressed stream was not there to its end.
    func finish() throws {
        guard isFinished else { throw malformed("it ends too early") }
        guard input.readableBytes == 0 else { throw malformed("something follows its end") }
    }

    private func malformed(_ what: String) -> AppError {
        AppError(.invalidArgument, "The body is not valid \(coding): \(what).")
    }
}
