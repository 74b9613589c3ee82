import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Sends small responses straight to the socket of a plaintext connection.
///
/// The way through the channel (queue, flush mark, promise, gathering) costs a tenth of a small request's CPU, and a response
/// that the socket takes whole needs none of it. What the socket does not take goes the channel's way, which also finds out
/// about errors. To be used on the event loop, while the channel is active, and while nothing waits in its queue.
struct SocketWriter {
    private let descriptor: CInt

    /// - Returns: `nil` when the channel is no socket.
    init?(_ channel: any Channel) {
        let descriptor = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        guard let descriptor = descriptor ?? nil else { return nil }
        self.descriptor = descriptor
    }

    /// Sends without waiting.
    /// - Returns: How many bytes were taken; 0 also when the connection is broken.
    func send(_ bytes: ByteBuffer) -> Int {
        bytes.withUnsafeReadableBytes { bytes in
            #if canImport(Darwin)
                // The channel has switched the signal of a broken pipe off for this socket.
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
