import NIOCore

/// Compresses a stream of bytes. One task at a time uses it.
protocol Compressor: AnyObject {
    func compress(_ bytes: ByteBuffer, _ flush: CompressorFlush) -> ByteBuffer
}

/// What becomes of bytes that a ``Compressor`` was given.
enum CompressorFlush {
    /// All of them so far can be read by the other side.
    case sync
    /// These were the last.
    case finish
}

extension ContentCoding {
    /// - Parameter level: 1, the fastest, to 9, the smallest, on libz's scale.
    func compressor(level: Int = 6) -> any Compressor {
        let level = min(max(level, 1), 9)
        return switch self {
        case .zstd: ZstdCompressor(level: (level + 1) / 2)
        case .gzip: Deflater(windowBits: Self.gzipWindowBits, level: level)
        case .deflate: Deflater(windowBits: Self.zlibWindowBits, level: level)
        }
    }

    func decompressionEngine() -> any DecompressionEngine {
        switch self {
        case .zstd: ZstdDecompressor()
        case .gzip: Inflater(windowBits: Self.gzipWindowBits)
        case .deflate: Inflater(windowBits: Self.zlibWindowBits)
        }
    }

    private static let zlibWindowBits: Int32 = 15
    /// 16 more ask for the gzip format (zlib.h).
    private static let gzipWindowBits: Int32 = 15 + 16
}
