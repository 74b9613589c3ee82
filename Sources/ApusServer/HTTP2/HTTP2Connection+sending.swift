import ApusCore
import NIOCore
import NIOHPACK

/// The output of a connection and its flow control.
struct SendState {
    /// The maximum size of a window (RFC 9113 §6.9.1).
    static let maximumWindow = 0x7FFF_FFFF

    var writer = FrameWriter()
    /// The window of a new stream, as the client has set it.
    var initialWindow = HTTP2Connection.initialWindow
    /// The window that all streams share.
    fileprivate(set) var window = HTTP2Connection.initialWindow
    /// Whether the channel accepts more bytes without queueing them.
    var isWritable = true
    /// Frames that are sent with the next flush.
    fileprivate var output: ByteBuffer?
    fileprivate var hasUnflushedBytes = false
    /// Called when everything written so far has been sent.
    fileprivate var actions: [SendQueue.Action] = []
    /// The streams that wait for their turn to send, in order.
    fileprivate var waiting = CircularBuffer<HTTP2Stream>(initialCapacity: 1)
    /// The number of bytes that were passed to the channel since the last flush.
    fileprivate var unflushedBytes = 0

    /// Removes a stream that has ended before its turn.
    mutating func remove(_ stream: HTTP2Stream) { waiting.removeAll { $0 === stream } }

    /// Discards everything that has not been sent.
    mutating func discardAll() {
        waiting.removeAll()
        actions = []
        output = nil
    }

    mutating func grow(by increment: Int) throws(HTTP2Failure) {
        window += increment
        guard window <= Self.maximumWindow else {
            throw HTTP2Failure(.flowControlError, "The flow-control window of the connection is too large.")
        }
    }
}

extension HTTP2Connection {
    /// The maximum size of data that is copied behind its frame header. Larger data is written separately.
    private static let maximumCopySize = 4096
    /// The size at which collected output is passed to the channel, so that the channel knows how far the peer is
    /// behind.
    private static let maximumCollected = 64 << 10
    /// The size at which output is flushed even within a read: TLS holds unflushed bytes, and their number would be
    /// unknown.
    private static let maximumUnflushed = 128 << 10

    // MARK: Frames

    /// Writes frames, which are sent with the next flush.
    func write(_ frames: (inout FrameWriter, inout ByteBuffer) -> Void) {
        guard channelContext != nil else { return }
        var output = sending.output.take() ?? loop.takeBuffer()
        frames(&sending.writer, &output)
        let isFull = output.readableBytes >= Self.maximumCollected
        sending.output = output
        sending.hasUnflushedBytes = true
        if isFull { handOver() }
    }

    /// Sends a head or trailers.
    /// - Parameter onSent: Called when they have been sent.
    func send(
        _ headers: HPACKHeaders, of stream: HTTP2Stream, isEnd: Bool = false, onSent: SendQueue.Action? = nil
    ) {
        guard !stream.isClosed else { return }
        guard stream.sending.isEmpty else {
            // They follow bytes that still wait for the client's window.
            stream.sending.end = (.trailers(headers), onSent)
            return
        }
        writeHeaders(headers, of: stream, isEnd: isEnd, onSent)
    }

    /// Sends bytes of a body: those that fit the client's window now, the rest when it opens.
    /// - Parameter onSent: Called when they have been sent.
    func send(
        _ bytes: ByteBuffer, of stream: HTTP2Stream, isEnd: Bool = false, onSent: SendQueue.Action? = nil
    ) {
        guard !stream.isClosed else { return }
        let count = bytes.readableBytes
        let fits = count == 0 || sending.isWritable && count <= min(sending.window, stream.sending.window)
        if stream.sending.isEmpty, fits, count <= sending.writer.maximumFrameSize {
            return writeData(bytes, of: stream, isEnd: isEnd, onSent)
        }
        if count > 0 { stream.sending.append(bytes, isEnd ? nil : onSent) }
        if isEnd { stream.sending.end = (.data, onSent) }
        enqueue(stream)
        sendWaiting()
    }

    // MARK: Scheduling

    /// Whether a stream has bytes to send but no window to send them.
    func isBlocked(_ stream: HTTP2Stream) -> Bool {
        stream.sending.hasPieces && min(sending.window, stream.sending.window) <= 0
    }

    /// Adds a stream to the end of those that wait for their turn, if it has something to send and its window is open.
    func enqueue(_ stream: HTTP2Stream) {
        guard !stream.sending.isWaiting, !stream.sending.isEmpty, stream.sending.window > 0 else { return }
        stream.sending.isWaiting = true
        sending.waiting.append(stream)
    }

    /// Sends one frame of each waiting stream in turn, for as long as the client and the channel accept more.
    func sendWaiting() {
        while sending.isWritable, sending.window > 0, let stream = sending.waiting.popFirst() {
            stream.sending.isWaiting = false
            guard !stream.isClosed else { continue }
            let limit = min(sending.window, stream.sending.window, sending.writer.maximumFrameSize)
            guard limit > 0, let piece = stream.sending.take(atMost: limit) else { continue }
            stream.windowChanged()
            sendWaiting(piece, of: stream)
            enqueue(stream)
        }
    }

    private func sendWaiting(_ piece: SendQueue.Piece, of stream: HTTP2Stream) {
        guard !stream.sending.hasPieces, let (end, onSent) = stream.sending.end.take() else {
            return writeData(piece.bytes, of: stream, isEnd: false, piece.onSent)
        }
        switch end {
        case .data:
            writeData(piece.bytes, of: stream, isEnd: true, piece.onSent)
            if let onSent { notify(onSent) }
        case .trailers(let headers):
            writeData(piece.bytes, of: stream, isEnd: false, piece.onSent)
            writeHeaders(headers, of: stream, isEnd: true, onSent)
        }
    }

    // MARK: Writing

    private func writeHeaders(
        _ headers: HPACKHeaders, of stream: HTTP2Stream, isEnd: Bool, _ onSent: SendQueue.Action?
    ) {
        lifetime.sentResponse()
        write { writer, output in writer.headers(headers, of: stream.id, isEnd: isEnd, to: &output) }
        if let onSent { notify(onSent) }
        if isEnd { sentEnd(of: stream) }
    }

    private func writeData(_ bytes: ByteBuffer, of stream: HTTP2Stream, isEnd: Bool, _ onSent: SendQueue.Action?) {
        lifetime.sentResponse()
        let count = bytes.readableBytes
        sending.window -= count
        stream.sending.window -= count
        stream.hasSentBytes = stream.hasSentBytes || count > 0
        write { writer, output in
            writer.dataHead(count, of: stream.id, isEnd: isEnd, to: &output)
            if count <= Self.maximumCopySize { output.writeImmutableBuffer(bytes) }
        }
        if count > Self.maximumCopySize {
            handOver()
            handOver(bytes)
        }
        if let onSent { notify(onSent) }
        if isEnd { sentEnd(of: stream) }
    }

    private func sentEnd(of stream: HTTP2Stream) {
        stream.hasSentEnd = true
        closeIfDone(stream)
    }

    /// Flushes at the end of the current read, or immediately outside of one.
    func flushSoon() { if !isInRead { flushIfNeeded() } }

    func flushIfNeeded() {
        guard sending.hasUnflushedBytes, let channelContext else { return }
        sending.hasUnflushedBytes = false
        sending.unflushedBytes = 0
        let output = sending.output.take()
        if output != nil || !sending.actions.isEmpty {
            channelContext.write(wrapOutboundOut(output ?? ByteBuffer()), promise: takePromise(channelContext))
        }
        channelContext.flush()
        if let output { loop.recycle(output) }
    }

    /// Passes the collected output to the channel.
    private func handOver() {
        if let output = sending.output.take() { handOver(output) }
    }

    private func handOver(_ bytes: ByteBuffer) {
        sending.unflushedBytes += bytes.readableBytes
        channelContext?.write(wrapOutboundOut(bytes), promise: nil)
        guard sending.unflushedBytes > Self.maximumUnflushed else { return }
        sending.unflushedBytes = 0
        channelContext?.flush()
    }

    /// Calls an action when everything written so far has been sent. The next flush determines that, even if nothing is
    /// left to flush.
    private func notify(_ action: @escaping SendQueue.Action) {
        sending.actions.append(action)
        sending.hasUnflushedBytes = true
    }

    /// Returns a promise for the next write, which calls the pending actions; `nil` if there are none.
    private func takePromise(_ context: ChannelHandlerContext) -> EventLoopPromise<Void>? {
        guard !sending.actions.isEmpty else { return nil }
        let actions = sending.actions
        sending.actions = []
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess { for action in actions { action() } }
        return promise
    }
}
