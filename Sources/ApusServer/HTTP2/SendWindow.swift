import NIOCore

/// What the client accepts on all streams together, and the streams that wait for their turn to send (RFC 9113 §5.2).
struct SendWindow {
    /// The maximum size of a window (RFC 9113 §6.9.1).
    static let maximum = 0x7FFF_FFFF

    /// The window of a new stream, as the client has set it.
    private(set) var initial = HTTP2ConnectionStateMachine.defaultWindow
    /// The window that all streams share.
    private(set) var size = HTTP2ConnectionStateMachine.defaultWindow
    /// The streams that wait for their turn, in order.
    private var waiting = CircularBuffer<HTTP2Stream>(initialCapacity: 1)

    mutating func grow(by increment: Int) throws(HTTP2Failure) {
        size += increment
        guard size <= Self.maximum else {
            throw HTTP2Failure(.flowControlError, "The flow-control window of the connection is too large.")
        }
    }

    mutating func sent(_ bytes: Int) { size -= bytes }

    /// Changes the window of new streams.
    /// - Returns: By how much the windows of open streams change as well (RFC 9113 §6.9.2).
    mutating func setInitial(_ value: Int) -> Int {
        defer { initial = value }
        return value - initial
    }

    /// Adds a stream to the end of those that wait for their turn, if it has something to send and its window is open.
    mutating func enqueue(_ stream: HTTP2Stream) {
        guard !stream.sending.isWaiting, !stream.sending.isEmpty, stream.sending.window > 0 else { return }
        stream.sending.isWaiting = true
        waiting.append(stream)
    }

    /// Removes and returns the stream whose turn it is.
    mutating func next() -> HTTP2Stream? {
        guard size > 0, let stream = waiting.popFirst() else { return nil }
        stream.sending.isWaiting = false
        return stream
    }

    /// Removes a stream that has ended before its turn.
    mutating func remove(_ stream: HTTP2Stream) {
        if stream.sending.isWaiting { waiting.removeAll { $0 === stream } }
    }

    mutating func removeAll() { waiting.removeAll() }
}
