import CZlib

/// A decompression engine that uses libz.
final class Inflater: DecompressionEngine {
    private var stream = z_stream()

    init(windowBits: Int32) throws {
        let result = inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw CompressionMemoryError(library: "libz") }
    }

    deinit { inflateEnd(&stream) }

    func restart() { inflateReset(&stream) }

    func step(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws -> DecompressionStep? {
        // libz counts with 32 bits; what does not fit is left for the next step.
        let (available, capacity) = (UInt32(clamping: input.count), UInt32(clamping: output.count))
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = available
        stream.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.avail_out = capacity
        let result = inflate(&stream, Z_NO_FLUSH)
        stream.next_in = nil
        stream.next_out = nil
        // libz allocates the window only when it needs it.
        guard result != Z_MEM_ERROR else { throw CompressionMemoryError(library: "libz") }
        guard [Z_OK, Z_BUF_ERROR, Z_STREAM_END].contains(result) else { return nil }
        return DecompressionStep(
            consumed: Int(available - stream.avail_in), produced: Int(capacity - stream.avail_out),
            isEnd: result == Z_STREAM_END)
    }
}
