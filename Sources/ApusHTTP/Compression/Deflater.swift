import CZlib
import NIOCore

/// Compresses a stream of bytes, by libz.
final class Deflater {
    enum Flush {
        /// More follows: what is compressed may wait for it.
        case none
        /// All of it so far can be read by the other side.
        case sync
        /// This is the end.
        case finish

        fileprivate var flag: Int32 {
            switch self {
            case .none: Z_NO_FLUSH
            case .sync: Z_SYNC_FLUSH
            case .finish: Z_FINISH
            }
        }
    }

    private var stream = z_stream()

    /// - Parameter level: 1, the fastest, to 9, the smallest.
    init(_ coding: ContentCoding, level: Int = 6) {
        // 15 bits of window; 16 more ask for the gzip format (zlib.h).
        let windowBits: Int32 = coding == .gzip ? 15 + 16 : 15
        let result = deflateInit2_(
            &stream, Int32(min(max(level, 1), 9)), Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "libz has no memory.")
    }

    deinit { deflateEnd(&stream) }

    func compress(_ bytes: ByteBuffer, _ flush: Flush) -> ByteBuffer {
        var output = ByteBuffer()
        bytes.withUnsafeReadableBytes { input in
            // libz reads it only.
            stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
            stream.avail_in = UInt32(input.count)
            repeat {
                let room = max(64, Int(deflateBound(&stream, UInt(stream.avail_in))))
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
                    stream.next_out = memory.bindMemory(to: UInt8.self).baseAddress
                    stream.avail_out = UInt32(memory.count)
                    _ = deflate(&stream, flush.flag)
                    return memory.count - Int(stream.avail_out)
                }
            } while stream.avail_out == 0
            stream.next_in = nil
        }
        return output
    }
}
