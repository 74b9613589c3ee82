package import NIOCore

extension ContentCoding {
    /// Compresses a complete body.
    package func compress(_ bytes: ByteBuffer) throws -> ByteBuffer { try compressor().compress(bytes, .finish) }

    /// Decompresses a complete body.
    /// - Parameter limit: The maximum size of the decompressed body, in bytes.
    /// - Returns: The decompressed body; `nil` if it exceeds the limit.
    /// - Throws: An `AppError` with code `invalidArgument` if the bytes are not valid for this coding.
    package func decompress(_ bytes: ByteBuffer, limit: Int) throws -> ByteBuffer? {
        let decompressor = try Decompressor(self)
        decompressor.append(bytes)
        var output = ByteBuffer()
        while var piece = try decompressor.next(atMost: min(limit - output.readableBytes + 1, 64 << 10)) {
            output.writeBuffer(&piece)
            guard output.readableBytes <= limit else { return nil }
        }
        try decompressor.finish()
        return output
    }
}
