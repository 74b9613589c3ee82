#if Zstandard
    import CZstd
    import NIOCore

    /// A compressor that uses libzstd (RFC 8878).
    final class ZstdCompressor: Compressor {
        /// The base-2 logarithm of the window size, 256 KiB, which bounds the memory of the compressor and the decompressor.
        private static let windowLog: Int32 = 18

        private let context: OpaquePointer

        /// - Parameter level: The compression level on libzstd's scale.
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
                var remaining = 0
                repeat {
                    output.writeWithUnsafeMutableBytes(minimumWritableBytes: ZSTD_compressBound(bytes.count)) {
                        memory in
                        var target = ZSTD_outBuffer(dst: memory.baseAddress, size: memory.count, pos: 0)
                        remaining = ZSTD_compressStream2(
                            context, &target, &input, flush == .finish ? ZSTD_e_end : ZSTD_e_flush)
                        return target.pos
                    }
                    guard ZSTD_isError(remaining) == 0 else { throw CompressionMemoryError(library: "libzstd") }
                } while remaining > 0
            }
            return output
        }
    }

    /// A decompression engine that uses libzstd.
    final class ZstdDecompressor: DecompressionEngine {
        /// The base-2 logarithm of the maximum window size of the coding, 8 MiB (RFC 9659).
        private static let maximumWindowLog: Int32 = 23

        private let context: OpaquePointer

        init() throws {
            guard let context = ZSTD_createDCtx() else { throw CompressionMemoryError(library: "libzstd") }
            ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.maximumWindowLog)
            self.context = context
        }

        deinit { ZSTD_freeDCtx(context) }

        func restart() { ZSTD_DCtx_reset(context, ZSTD_reset_session_only) }

        func step(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws -> DecompressionStep?
        {
            var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
            var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
            let result = ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_getErrorCode(result) != ZSTD_error_memory_allocation else {
                throw CompressionMemoryError(library: "libzstd")
            }
            guard ZSTD_isError(result) == 0 else { return nil }
            return DecompressionStep(consumed: source.pos, produced: target.pos, isEnd: result == 0)
        }
    }
#endif
