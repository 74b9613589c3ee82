import ApusCore
import NIOCore

/// Compresses a stream of bytes. One task at a time uses it.
protocol Compressor: AnyObject {
    /// - Throws: A ``CompressionMemoryError`` when the library has no memory.
    func compress(_ bytes: ByteBuffer, _ flush: CompressorFlush) throws -> ByteBuffer
}

/// A library has no memory for what it is to do: the request fails, and the process goes on.
struct CompressionMemoryError: AppErrorConvertible {
    let library: String

    var appError: AppError {
        AppError(
            .unavailable, "There is no memory to compress or decompress this.", retryAfter: .seconds(1), cause: self)
    }
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
    /// - Throws: A ``CompressionMemoryError``.
    func compressor(level: Int = 6) throws -> any Compressor {
        let level = min(max(level, 1), 9)
        return switch self {
        case .zstd: try ZstdCompressor(level: (level + 1) / 2)
        case .gzip: try Deflater(windowBits: Self.gzipWindowBits, level: level)
        case .deflate: try Deflater(windowBits: Self.zlibWindowBits, level: level)
        }
    }

    func decompressionEngine() throws -> any DecompressionEngine {
        switch self {
        case .zstd: try ZstdDecompressor()
        case .gzip: try Inflater(windowBits: Self.gzipWindowBits)
        case .deflate: try Inflater(windowBits: Self.zlibWindowBits)
        }
    }

    private static let zlibWindowBits: Int32 = 15
    /// 16 more ask for the gzip format (zlib.h).
    private static let gzipWindowBits: Int32 = 15 + 16
}
