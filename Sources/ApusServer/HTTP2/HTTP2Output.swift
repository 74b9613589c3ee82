import NIOCore

/// The output of an HTTP/2 connection. Frames are collected in a buffer of the event loop and passed to the channel
/// together.
///
/// A class, because a flush may lead to further writes before it returns. `@unchecked Sendable`: accessed only on the
/// connection's event loop.
final class HTTP2Output: @unchecked Sendable {
    private let loop: LoopState
    private var context: ChannelHandlerContext?
    @exclusivity(unchecked) private var writer = FrameWriter()
    /// Frames that are sent with the next flush.
    @exclusivity(unchecked) private var collected: ByteBuffer?
    @exclusivity(unchecked) private var needsFlush = false
    /// Called when everything written so far has been sent.
    @exclusivity(unchecked) private var actions: [SendQueue.Action] = []
    /// The number of bytes that were passed to the channel since the last flush.
    private var unflushedBytes = 0

    /// The maximum size of data that is copied behind its frame header. Larger data is written separately.
    private static let maximumCopySize = 4096
    /// The size at which collected output is passed to the channel, so that the channel knows how far the peer is
    /// behind.
    private static let maximumCollected = 64 << 10
    /// The size at which output is flushed even within a read: TLS holds unflushed bytes, and their number would be
    /// unknown.
    private static let maximumUnflushed = 128 << 10

    init(_ loop: LoopState) { self.loop = loop }

    func attach(_ context: ChannelHandlerContext) { self.context = context }

    func detach() { context = nil }

    /// The maximum frame size that the peer accepts.
    var maximumFrameSize: Int { writer.maximumFrameSize }

    func setMaximumFrameSize(_ size: Int) { writer.setMaximumFrameSize(size) }

    func setHeaderTableSize(_ size: Int) { writer.setHeaderTableSize(size) }

    // MARK: Writing

    /// Writes frames, which are sent with the next flush.
    func write(_ frames: (inout FrameWriter, inout ByteBuffer) -> Void) {
        guard context != nil else { return }
        var output = collected.take() ?? loop.takeBuffer()
        frames(&writer, &output)
        let isFull = output.readableBytes >= Self.maximumCollected
        collected = output
        needsFlush = true
        if isFull { handOver() }
    }

    /// Writes a DATA frame.
    func data(_ bytes: ByteBuffer, of stream: UInt32, isEnd: Bool) {
        let count = bytes.readableBytes
        write { writer, output in
            writer.dataHead(count, of: stream, isEnd: isEnd, to: &output)
            if count <= Self.maximumCopySize { output.writeImmutableBuffer(bytes) }
        }
        guard count > Self.maximumCopySize else { return }
        handOver()
        handOver(bytes)
    }

    /// Calls an action when everything written so far has been sent. The next flush determines that, even if nothing is
    /// left to flush.
    func notify(_ action: @escaping SendQueue.Action) {
        actions.append(action)
        needsFlush = true
    }

    /// Discards everything that has not been sent. The actions retain the connection.
    func discardAll() {
        actions = []
        collected = nil
    }

    // MARK: Flushing

    func flush() {
        guard needsFlush, let context else { return }
        needsFlush = false
        unflushedBytes = 0
        let output = collected.take()
        if output != nil || !actions.isEmpty {
            context.write(NIOAny(output ?? ByteBuffer()), promise: takePromise(context))
        }
        context.flush()
        if let output { loop.recycle(output) }
    }

    /// Passes the collected output to the channel.
    private func handOver() {
        if let output = collected.take() { handOver(output) }
    }

    private func handOver(_ bytes: ByteBuffer) {
        unflushedBytes += bytes.readableBytes
        context?.write(NIOAny(bytes), promise: nil)
        guard unflushedBytes > Self.maximumUnflushed else { return }
        unflushedBytes = 0
        context?.flush()
    }

    /// Returns a promise for the next write, which calls the pending actions; `nil` if there are none.
    private func takePromise(_ context: ChannelHandlerContext) -> EventLoopPromise<Void>? {
        guard !actions.isEmpty else { return nil }
        let actions = actions
        self.actions = []
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess { for action in actions { action() } }
        return promise
    }
}
