import NIOCore

/// The output of an HTTP/1.1 connection.
///
/// Small writes are collected in a buffer of the event loop. It is flushed at the end of the read that caused them, or
/// immediately outside of a read.
///
/// A class, because passing bytes to the channel may close it, and its handlers then write or flush again. Must be used
/// on the event loop. No access to a property overlaps with another: the buffer is moved out before it is passed on, and
/// while it is written to, no other code is called. So exclusivity checks are disabled where every response would pay
/// for them.
final class HTTP1Output {
    let loop: LoopState
    @exclusivity(unchecked) private var channelContext: ChannelHandlerContext?
    /// Sends small responses directly to the socket, where that is possible.
    @exclusivity(unchecked) private var socket: SocketWriter?
    /// Bytes that have not been passed to the channel.
    @exclusivity(unchecked) private var buffer = ByteBuffer()
    @exclusivity(unchecked) private var hasBuffer = false
    /// Whether the channel has bytes that have not been flushed.
    @exclusivity(unchecked) private var hasUnflushedBytes = false
    /// Whether the channel has been given bytes since its queue was last seen empty.
    @exclusivity(unchecked) private var channelMayHoldBytes = false
    /// The total number of bytes written.
    @exclusivity(unchecked) private(set) var writtenBytes = 0

    /// The maximum size of bodies that are copied behind their head, so that one write sends both.
    static var maximumCopySize: Int { 4096 }

    init(_ loop: LoopState) { self.loop = loop }

    /// Begins to write to a channel, which must be active.
    /// - Parameter isEncrypted: Whether bytes have to pass through the channel's TLS handler.
    func attach(to context: ChannelHandlerContext, isEncrypted: Bool) {
        channelContext = context
        if !isEncrypted { socket = SocketWriter(context.channel) }
    }

    func detach() {
        channelContext = nil
        socket = nil
    }

    /// The number of bytes that have been written but not sent.
    var pendingBytes: Int { buffer.readableBytes + queuedBytes }

    private var queuedBytes: Int {
        (try? channelContext?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    // MARK: Writing

    func write(_ bytes: ByteBuffer) {
        if bytes.readableBytes <= Self.maximumCopySize {
            return bytes.withUnsafeReadableBytes { write(copying: $0) }
        }
        handOver()
        hasUnflushedBytes = true
        writtenBytes += bytes.readableBytes
        channelContext?.write(NIOAny(bytes), promise: nil)
    }

    func write(copying bytes: UnsafeRawBufferPointer) {
        takeBuffer()
        writtenBytes += buffer.writeBytes(bytes)
    }

    /// Writes what the function appends to the buffer. The function must not use this output.
    @inline(__always)
    func append(_ encode: (inout ByteBuffer) -> Void) {
        takeBuffer()
        let before = buffer.readableBytes
        encode(&buffer)
        writtenBytes += buffer.readableBytes - before
    }

    private func takeBuffer() {
        guard !hasBuffer else { return }
        hasBuffer = true
        buffer = loop.takeBuffer()
    }

    /// Passes the collected bytes to the channel, ahead of the bytes that follow.
    private func handOver() {
        guard hasBuffer else { return }
        hasBuffer = false
        let bytes = buffer
        buffer = ByteBuffer()
        hasUnflushedBytes = true
        channelContext?.write(NIOAny(bytes), promise: nil)
    }

    // MARK: Flushing

    /// Sends everything that has been written, as far as the peer accepts it.
    func flush() {
        if hasBuffer {
            hasBuffer = false
            var bytes = buffer
            buffer = ByteBuffer()
            if sendDirectly(&bytes) { return loop.recycle(bytes) }
            hasUnflushedBytes = false
            channelMayHoldBytes = true
            channelContext?.writeAndFlush(NIOAny(bytes), promise: nil)
            loop.recycle(bytes)
        } else if hasUnflushedBytes {
            hasUnflushedBytes = false
            channelMayHoldBytes = true
            channelContext?.flush()
        }
    }

    /// Sends bytes directly to the socket, if nothing is queued ahead of them.
    /// - Parameter bytes: The bytes. Those that remain must be sent through the channel.
    /// - Returns: Whether all bytes were sent.
    private func sendDirectly(_ bytes: inout ByteBuffer) -> Bool {
        guard let socket, !hasUnflushedBytes, let channel = channelContext?.channel, channel.isActive else {
            return false
        }
        if channelMayHoldBytes {
            guard queuedBytes == 0 else { return false }
            channelMayHoldBytes = false
        }
        bytes.moveReaderIndex(forwardBy: socket.send(bytes))
        return bytes.readableBytes == 0
    }
}
