package import NIOCore

extension ByteBuffer {
    /// Appends bytes and discards those that have been read, so that a buffer that lives as long as its connection does
    /// not retain everything ever received.
    package mutating func appendReclaiming(_ bytes: ByteBuffer) {
        guard readableBytes > 0 else {
            self = bytes
            return
        }
        discardReadBytes()
        writeImmutableBuffer(bytes)
    }
}
