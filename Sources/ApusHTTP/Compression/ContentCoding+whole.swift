package import NIOCore

extension ContentCoding {
    /// Compresses bytes that are at hand.
    package func compress(_ bytes: ByteBuffer) throws -> ByteBuffer { try compressor().compress(bytes, .finish) }

    /// Decompresses bytes that are at hand.
    /// - Parameter limit: The most bytes that may come out.
    /// - Returns: `nil` past the limit.
    /// - Throws: An `AppError` of code `invalidArgument` for what is not compressed so.
    package func decompress(_ bytes: ByteBuffer, limit: Int) throws -> ByteBuffer? {
        let decompressor = try Decompressor(self)
        decompressor.append(bytes)
        var whole = ByteBuffer()
        while var piece = try decompressor.next(atMost: min(limit - whole.readableBytes + 1, 64 << 10)) {
            whole.writeBuffer(&piece)
            guard whole.readableBytes <= limit else { return nil }
        }
        try decompressor.finish()
        return whole
    }
}
