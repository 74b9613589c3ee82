import CZlib
import NIOCore

/// A compressor that uses libz.
final class Deflater: Compressor {
    private var stream = z_stream()

    init(windowBits: Int32, level: Int) throws {
        let result = deflateInit2_(
            &stream, Int32(level), Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw CompressionMemoryError(library: "libz") }
    }

    deinit { deflateEnd(&stream) }

    func compress(_ bytes: ByteBuffer, _ flush: CompressorFlush) -> ByteBuffer {
        var output = ByteBuffer()
        bytes.withUnsafeReadableBytes { input in
            // libz only reads from it.
            stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
            stream.avail_in = UInt32(input.count)
            repeat {
                let capacity = max(64, Int(deflateBound(&stream, UInt(stream.avail_in))))
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { memory in
                    stream.next_out = memory.bindMemory(to: UInt8.self).baseAddress
                    stream.avail_out = UInt32(memory.count)
                    _ = deflate(&stream, flush == .finish ? Z_FINISH : Z_SYNC_FLUSH)
                    return memory.count - Int(stream.avail_out)
                }
            } while stream.avail_out == 0
            stream.next_in = nil
        }
        return output
    }
}
