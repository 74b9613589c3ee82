import NIOCore

/// Puts the frames of one flush together, so that they go to the channel, and to TLS as records, in one piece.
///
/// The frame handler writes the head of a frame and its data each by itself and encodes into one buffer, which it must copy
/// as long as somebody holds what was written before.
final class FrameGatherer: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let loop: LoopState
    private var context: ChannelHandlerContext?
    private var output: ByteBuffer?
    /// Told when what was gathered is out.
    private var promise: EventLoopPromise<Void>?

    init(loop: LoopState) { self.loop = loop }

    /// Larger pieces go by themselves: they are not worth the copy.
    private static let largestCopy = 4096
    /// The channel is given what was gathered once it is as much, so that it knows how far the peer is behind.
    private static let mostGathered = 64 << 10

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(let bytes) = unwrapOutboundIn(data), bytes.readableBytes <= Self.largestCopy else {
            handOver(context)
            return context.write(data, promise: promise)
        }
        var output = self.output.take() ?? loop.takeBuffer()
        output.writeImmutableBuffer(bytes)
        let isFull = output.readableBytes >= Self.mostGathered
        self.output = output
        if let promise {
            if let first = self.promise {
                first.futureResult.cascade(to: promise)
            } else {
                self.promise = promise
            }
        }
        if isFull { handOver(context) }
    }

    /// A frame that the frame handler is not to know of.
    func write(frame: [UInt8]) {
        guard let context else { return }
        var output = output.take() ?? loop.takeBuffer()
        output.writeBytes(frame)
        self.output = output
        flush(context: context)
    }

    func flush(context: ChannelHandlerContext) {
        guard let output = handOver(context) else { return context.flush() }
        context.flush()
        loop.giveBack(output)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        output = nil
        promise.take()?.fail(ChannelError.ioOnClosedChannel)
    }

    /// - Returns: What the channel was given.
    @discardableResult
    private func handOver(_ context: ChannelHandlerContext) -> ByteBuffer? {
        guard let output = output.take() else { return nil }
        context.write(wrapOutboundOut(.byteBuffer(output)), promise: promise.take())
        return output
    }
}
