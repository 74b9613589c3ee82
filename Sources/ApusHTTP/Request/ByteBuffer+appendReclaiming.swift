package import NIOCore

extension ByteBuffer {
    /// Adds bytes and lets go of those that were read: a buffer that lives as long as its connection must not keep all that
    /// ever came.
    package mutating func appendReclaiming(_ bytes: ByteBuffer) {
        guard readableBytes > 0 else {
            self = bytes
            return
        }
        discardReadBytes()
        writeImmutableBuffer(bytes)
    }
}
