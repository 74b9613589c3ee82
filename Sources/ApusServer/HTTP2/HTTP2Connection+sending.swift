import NIOCore
import NIOHPACK

/// Flow-controlled output: what fits the client's windows is written at once, the rest waits in turn (RFC 9113 §5.2).
extension HTTP2Connection {
    /// Sends a head or trailers.
    /// - Parameter onSent: Called when they have been sent.
    func send(
        _ headers: HPACKHeaders, of stream: HTTP2Stream, isEnd: Bool = false, onSent: SendQueue.Action? = nil
    ) {
        guard !stream.machine.isClosed else { return }
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
        guard !stream.machine.isClosed else { return }
        let count = bytes.readableBytes
        let fits = count == 0 || isWritable && count <= min(sendWindow.size, stream.sending.window)
        if stream.sending.isEmpty, fits, count <= output.maximumFrameSize {
            return writeData(bytes, of: stream, isEnd: isEnd, onSent)
        }
        if count > 0 { stream.sending.append(bytes, isEnd ? nil : onSent) }
        if isEnd { stream.sending.end = (.data, onSent) }
        sendWindow.enqueue(stream)
        sendWaiting()
    }

    /// Whether a stream has bytes to send but no window to send them.
    func isBlocked(_ stream: HTTP2Stream) -> Bool {
        stream.sending.hasPieces && min(sendWindow.size, stream.sending.window) <= 0
    }

    /// Sends one frame of each waiting stream in turn, for as long as the client and the channel accept more.
    func sendWaiting() {
        while isWritable, let stream = sendWindow.next() {
            guard !stream.machine.isClosed else { continue }
            let limit = min(sendWindow.size, stream.sending.window, output.maximumFrameSize)
            guard limit > 0, let piece = stream.sending.take(atMost: limit) else { continue }
            stream.machine.windowChanged(now: now)
            sendWaiting(piece, of: stream)
            sendWindow.enqueue(stream)
        }
    }

    private func sendWaiting(_ piece: SendQueue.Piece, of stream: HTTP2Stream) {
        guard !stream.sending.hasPieces, let (end, onSent) = stream.sending.end.take() else {
            return writeData(piece.bytes, of: stream, isEnd: false, piece.onSent)
        }
        switch end {
        case .data:
            writeData(piece.bytes, of: stream, isEnd: true, piece.onSent)
            if let onSent { output.notify(onSent) }
        case .trailers(let headers):
            writeData(piece.bytes, of: stream, isEnd: false, piece.onSent)
            writeHeaders(headers, of: stream, isEnd: true, onSent)
        }
    }

    private func writeHeaders(
        _ headers: HPACKHeaders, of stream: HTTP2Stream, isEnd: Bool, _ onSent: SendQueue.Action?
    ) {
        machine.sentResponse()
        output.write { writer, output in writer.headers(headers, of: stream.id, isEnd: isEnd, to: &output) }
        if let onSent { output.notify(onSent) }
        if isEnd { sentEnd(of: stream) }
    }

    private func writeData(_ bytes: ByteBuffer, of stream: HTTP2Stream, isEnd: Bool, _ onSent: SendQueue.Action?) {
        machine.sentResponse()
        let count = bytes.readableBytes
        sendWindow.sent(count)
        stream.sending.window -= count
        if count > 0 { stream.machine.sentData() }
        output.data(bytes, of: stream.id, isEnd: isEnd)
        if let onSent { output.notify(onSent) }
        if isEnd { sentEnd(of: stream) }
    }

    private func sentEnd(of stream: HTTP2Stream) {
        stream.machine.sentEnd()
        closeIfDone(stream)
    }
}
