import CZstd
import NIOCore

/// Compresses by libzstd (RFC 8878).
final class ZstdCompressor: Compressor {
    /// How far back it looks: 256 KiB, which bounds its memory and the reader's.
    private static let windowLog: Int32 = 18

    private let context: OpaquePointer

    /// - Parameter level: On libzstd's scale.
    init(level: Int) throws {
        guard let context = ZSTD_createCCtx() else { throw CompressionMemoryError(library: "libzstd") }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, Self.windowLog)
        self.context = context
    }

    deinit { ZSTD_freeCCtx(context) }

    func compress(_ bytes: ByteBuffer, _ flush: CompressorFlush) throws -> ByteBuffer {
        var output = ByteBuffer()
        try bytes.withUnsafeReadableBytes { bytes in
            var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
            var left = 0
            repeat {
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: ZSTD_compressBound(bytes.count)) { memory in
                    var room = ZSTD_outBuffer(dst: memory.baseAddress, size: memory.count, pos: 0)
                    left = ZSTD_compressStream2(context, &room, &input, flush == .finish ? ZSTD_e_end : ZSTD_e_flush)
                    return room.pos
                }
                guard ZSTD_isError(left) == 0 else { throw CompressionMemoryError(library: "libzstd") }
            } while left > 0
        }
        return output
    }
}

/// Decompresses by libzstd.
final class ZstdDecompressor: DecompressionEngine {
    /// The largest window of the coding (RFC 9659): 8 MiB.
    private static let maximumWindowLog: Int32 = 23

    private let context: OpaquePointer

    init() throws {
        guard let context = ZSTD_createDCtx() else { throw CompressionMemoryError(library: "libzstd") }
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.maximumWindowLog)
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    func restart() { ZSTD_DCtx_reset(context, ZSTD_reset_session_only) }

    func step(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws -> DecompressionStep? {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var room = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let result = ZSTD_decompressStream(context, &room, &source)
        guard ZSTD_getErrorCode(result) != ZSTD_error_memory_allocation else {
            throw CompressionMemoryError(library: "libzstd")
        }
        guard ZSTD_isError(result) == 0 else { return nil }
        return DecompressionStep(consumed: source.pos, made: room.pos, isEnd: result == 0)
    }
}
