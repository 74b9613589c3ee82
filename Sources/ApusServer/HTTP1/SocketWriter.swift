import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Sends small responses directly to the socket of a plaintext connection.
///
/// The path through the channel (queue, flush mark, promise, gathering) costs a tenth of a small request's CPU time. A
/// response that the socket accepts completely needs none of it. The rest of any other response goes through the
/// channel, which also detects errors. Must be used on the event loop while the channel is active and its queue is
/// empty.
struct SocketWriter {
    private let descriptor: CInt

    /// Returns `nil` if the channel is not a socket.
    init?(_ channel: any Channel) {
        let descriptor = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        guard let descriptor = descriptor ?? nil else { return nil }
        self.descriptor = descriptor
    }

    /// Sends bytes without blocking.
    /// - Returns: The number of bytes that were accepted; also 0 if the connection is broken.
    func send(_ bytes: ByteBuffer) -> Int {
        bytes.withUnsafeReadableBytes { bytes in
            #if canImport(Darwin)
                // The channel has disabled SIGPIPE for this socket.
                let flags = MSG_DONTWAIT
            #else
                let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
            #endif
            #if canImport(Glibc)
                let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags)
            #elseif canImport(Musl)
                let count = Musl.send(descriptor, bytes.baseAddress, bytes.count, flags)
            #else
                let count = Darwin.send(descriptor, bytes.baseAddress, bytes.count, flags)
            #endif
            return max(0, count)
        }
    }
}
