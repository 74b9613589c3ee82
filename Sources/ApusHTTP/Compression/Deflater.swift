import CZlib
import NIOCore

/// A compressor that uses libz.
final class Deflater: Compressor {
    private var stream = z_stream()
    private let pieceSize: Int

    /// - Parameter pieceSize: The number of bytes that libz, whose counters have 32 bits, is given at once.
    init(windowBits: Int32, level: Int, pieceSize: Int = 1 << 24) throws {
        self.pieceSize = pieceSize
        let result = deflateInit2_(
            &stream, Int32(level), Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw CompressionMemoryError(library: "libz") }
    }

    deinit { deflateEnd(&stream) }

    func compress(_ bytes: ByteBuffer, _ flush: CompressorFlush) -> ByteBuffer {
        var output = ByteBuffer()
        bytes.withUnsafeReadableBytes { input in
            var rest = input
            repeat {
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(pieceSize))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
                let mode = flush == .finish ? Z_FINISH : Z_SYNC_FLUSH
                compress(piece, rest.isEmpty ? mode : Z_NO_FLUSH, into: &output)
            } while !rest.isEmpty
        }
        return output
    }

    private func compress(_ piece: UnsafeRawBufferPointer, _ mode: Int32, into output: inout ByteBuffer) {
        // libz only reads from it.
        stream.next_in = UnsafeMutablePointer(mutating: piece.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(piece.count)
        repeat {
            let capacity = max(64, Int(deflateBound(&stream, UInt(stream.avail_in))))
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { memory in
                let available = UInt32(clamping: memory.count)
                stream.next_out = memory.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = available
                _ = deflate(&stream, mode)
                return Int(available - stream.avail_out)
            }
        } while stream.avail_out == 0
        stream.next_in = nil
    }
}
