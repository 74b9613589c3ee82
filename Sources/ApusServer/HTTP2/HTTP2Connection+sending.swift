import ApusCore
import NIOCore
import NIOHPACK

/// What a connection has to send, and how much it may.
struct SendState {
    /// No window is larger (RFC 9113 §6.9.1).
    static let largestWindow = 0x7FFF_FFFF

    var writer = FrameWriter()
    /// What a new stream may send before the client allows for more.
    var initialWindow = HTTP2Connection.initialWindow
    /// What all streams together may.
    fileprivate(set) var window = HTTP2Connection.initialWindow
    /// Whether the channel takes more without making us hold it.
    var isWritable = true
    /// Frames that go out together with the next flush.
    fileprivate var output: ByteBuffer?
    fileprivate var hasUnflushedBytes = false
    /// Who is told when what was written by now is out.
    fileprivate var actions: [SendQueue.Action] = []
    /// Streams that could send if it were their turn, in that order.
    fileprivate var waiting = CircularBuffer<HTTP2Stream>(initialCapacity: 1)
    /// What the channel was given since the last flush.
    fileprivate var unflushedBytes = 0

    /// It has ended before its turn came.
    mutating func forget(_ stream: HTTP2Stream) { waiting.removeAll { $0 === stream } }

    /// Nothing will be sent any more.
    mutating func forgetAll() {
        waiting.removeAll()
        actions = []
        output = nil
    }

    mutating func grow(by increment: Int) throws(HTTP2Failure) {
        window += increment
        guard window <= Self.largestWindow else {
            throw HTTP2Failure(.flowControlError, "The window grows past what a window can be.")
        }
    }
}

extension HTTP2Connection {
    /// Larger pieces go by themselves: they are not worth the copy.
    private static let largestCopy = 4096
    /// The channel is given what was gathered once it is as much, so that it knows how far the peer is behind.
    private static let mostGathered = 64 << 10
    /// As much is flushed although the read goes on: TLS holds what is not flushed, and nobody would know how much that is.
    private static let mostUnflushed = 128 << 10

    // MARK: Frames

    /// Writes frames, which go out with the next flush.
    func write(_ frames: (inout FrameWriter, inout ByteBuffer) -> Void) {
        guard channelContext != nil else { return }
        var output = sending.output.take() ?? loop.takeBuffer()
        frames(&sending.writer, &output)
        let isFull = output.readableBytes >= Self.mostGathered
        sending.output = output
        sending.hasUnflushedBytes = true
        if isFull { handOver() }
    }

    /// Sends a head, or what follows a body.
    /// - Parameter onSent: Told when it is out.
    func send(
        _ headers: HPACKHeaders, of stream: HTTP2Stream, isEnd: Bool = false, onSent: SendQueue.Action? = nil
    ) {
        guard !stream.isClosed else { return }
        guard stream.sending.isEmpty else {
            // Behind bytes that the client has not allowed for yet.
            stream.sending.end = (.trailers(headers), onSent)
            return
        }
        writeHeaders(headers, of: stream, isEnd: isEnd, onSent)
    }

    /// Sends bytes of a body: what the client allows for now, the rest when it does.
    /// - Parameter onSent: Told when they are out.
    func send(
        _ bytes: ByteBuffer, of stream: HTTP2Stream, isEnd: Bool = false, onSent: SendQueue.Action? = nil
    ) {
        guard !stream.isClosed else { return }
        let count = bytes.readableBytes
        let fits = count == 0 || sending.isWritable && count <= min(sending.window, stream.sending.window)
        if stream.sending.isEmpty, fits, count <= sending.writer.largestFrame {
            return writeData(bytes, of: stream, isEnd: isEnd, onSent)
        }
        if count > 0 { stream.sending.append(bytes, isEnd ? nil : onSent) }
        if isEnd { stream.sending.end = (.data, onSent) }
        wait(stream)
        sendWaiting()
    }

    // MARK: Turns

    /// Whether a stream has bytes to send, and the client allows for none.
    func isBlocked(_ stream: HTTP2Stream) -> Bool {
        stream.sending.hasPieces && min(sending.window, stream.sending.window) <= 0
    }

    /// Puts a stream to the end of those that wait for their turn, if it has something to send and may.
    func wait(_ stream: HTTP2Stream) {
        guard !stream.sending.isWaiting, !stream.sending.isEmpty, stream.sending.window > 0 else { return }
        stream.sending.isWaiting = true
        sending.waiting.append(stream)
    }

    /// Sends a frame of each stream that waits, round and round, as long as the client and the channel take more.
    func sendWaiting() {
        while sending.isWritable, sending.window > 0, let stream = sending.waiting.popFirst() {
            stream.sending.isWaiting = false
            guard !stream.isClosed else { continue }
            let most = min(sending.window, stream.sending.window, sending.writer.largestFrame)
            guard most > 0, let piece = stream.sending.take(atMost: most) else { continue }
            stream.windowChanged()
            sendWaiting(piece, of: stream)
            wait(stream)
        }
    }

    private func sendWaiting(_ piece: SendQueue.Piece, of stream: HTTP2Stream) {
        guard !stream.sending.hasPieces, let (end, onSent) = stream.sending.end.take() else {
            return writeData(piece.bytes, of: stream, isEnd: false, piece.onSent)
        }
        switch end {
        case .data:
            writeData(piece.bytes, of: stream, isEnd: true, piece.onSent)
            if let onSent { tell(onSent) }
        case .trailers(let headers):
            writeData(piece.bytes, of: stream, isEnd: false, piece.onSent)
            writeHeaders(headers, of: stream, isEnd: true, onSent)
        }
    }

    // MARK: Writing

    private func writeHeaders(
        _ headers: HPACKHeaders, of stream: HTTP2Stream, isEnd: Bool, _ onSent: SendQueue.Action?
    ) {
        life.wrote()
        write { writer, output in writer.headers(headers, of: stream.id, isEnd: isEnd, to: &output) }
        if let onSent { tell(onSent) }
        if isEnd { ended(stream) }
    }

    private func writeData(_ bytes: ByteBuffer, of stream: HTTP2Stream, isEnd: Bool, _ onSent: SendQueue.Action?) {
        life.wrote()
        let count = bytes.readableBytes
        sending.window -= count
        stream.sending.window -= count
        stream.hasSentBytes = stream.hasSentBytes || count > 0
        write { writer, output in
            writer.dataHead(count, of: stream.id, isEnd: isEnd, to: &output)
            if count <= Self.largestCopy { output.writeImmutableBuffer(bytes) }
        }
        if count > Self.largestCopy {
            handOver()
            handOver(bytes)
        }
        if let onSent { tell(onSent) }
        if isEnd { ended(stream) }
    }

    private func ended(_ stream: HTTP2Stream) {
        stream.hasSentEnd = true
        closeIfDone(stream)
    }

    /// Flushes when the read has ended, or at once outside of one.
    func flushSoon() { if !isInRead { flushIfNeeded() } }

    func flushIfNeeded() {
        guard sending.hasUnflushedBytes, let channelContext else { return }
        sending.hasUnflushedBytes = false
        sending.unflushedBytes = 0
        let output = sending.output.take()
        if output != nil || !sending.actions.isEmpty {
            channelContext.write(wrapOutboundOut(output ?? ByteBuffer()), promise: takeActions(channelContext))
        }
        channelContext.flush()
        if let output { loop.giveBack(output) }
    }

    /// Gives the channel what was gathered.
    private func handOver() {
        if let output = sending.output.take() { handOver(output) }
    }

    private func handOver(_ bytes: ByteBuffer) {
        sending.unflushedBytes += bytes.readableBytes
        channelContext?.write(wrapOutboundOut(bytes), promise: nil)
        guard sending.unflushedBytes > Self.mostUnflushed else { return }
        sending.unflushedBytes = 0
        channelContext?.flush()
    }

    /// Calls when all that was written by now is out, which the next flush finds out: also where nothing is left to flush.
    private func tell(_ action: @escaping SendQueue.Action) {
        sending.actions.append(action)
        sending.hasUnflushedBytes = true
    }

    /// Those who are told when the write that follows is out.
    private func takeActions(_ context: ChannelHandlerContext) -> EventLoopPromise<Void>? {
        guard !sending.actions.isEmpty else { return nil }
        let actions = sending.actions
        sending.actions = []
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess { for action in actions { action() } }
        return promise
    }
}
