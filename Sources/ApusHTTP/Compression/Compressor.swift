import ApusCore
import NIOCore

/// A compressor of a stream of bytes. It must be used by one task at a time.
protocol Compressor: AnyObject {
    /// Compresses bytes and returns the compressed output.
    /// - Throws: A ``CompressionMemoryError`` if the library cannot allocate memory.
    func compress(_ bytes: ByteBuffer, _ flush: CompressorFlush) throws -> ByteBuffer
}

/// An error for a compression library that cannot allocate memory. It fails the request, not the process.
struct CompressionMemoryError: AppErrorConvertible {
    let library: String

    var appError: AppError {
        AppError(
            .unavailable, "There is not enough memory to compress or decompress the body.", retryAfter: .seconds(1),
            cause: self)
    }
}

/// How a ``Compressor`` flushes the bytes that it was given.
enum CompressorFlush {
    /// The receiver can decompress all bytes so far.
    case sync
    /// The compressed stream ends.
    case finish
}

extension ContentCoding {
    /// Creates a compressor.
    /// - Parameter level: The compression level on libz's scale, from 1, the fastest, to 9, the smallest.
    /// - Throws: A ``CompressionMemoryError`` if the library cannot allocate memory.
    func compressor(level: Int = 6) throws -> any Compressor {
        let level = min(max(level, 1), 9)
        return switch self {
        #if Zstandard
            case .zstd: try ZstdCompressor(level: (level + 1) / 2)
        #endif
        case .gzip: try Deflater(windowBits: Self.gzipWindowBits, level: level)
        case .deflate: try Deflater(windowBits: Self.zlibWindowBits, level: level)
        }
    }

    /// Creates a decompression engine.
    /// - Throws: A ``CompressionMemoryError`` if the library cannot allocate memory.
    func decompressionEngine() throws -> any DecompressionEngine {
        switch self {
        #if Zstandard
            case .zstd: try ZstdDecompressor()
        #endif
        case .gzip: try Inflater(windowBits: Self.gzipWindowBits)
        case .deflate: try Inflater(windowBits: Self.zlibWindowBits)
        }
    }

    private static let zlibWindowBits: Int32 = 15
    /// Adding 16 selects the gzip format (zlib.h).
    private static let gzipWindowBits: Int32 = 15 + 16
}
