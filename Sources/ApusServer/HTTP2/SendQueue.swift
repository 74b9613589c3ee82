import NIOCore
import NIOHPACK

/// What a stream has to send and may not yet, because the peer has not allowed for it (RFC 9113 §5.2).
struct SendQueue {
    /// Told when bytes have gone out.
    typealias Action = @Sendable () -> Void

    struct Piece {
        var bytes: ByteBuffer
        var onSent: Action?
    }

    enum End {
        /// With the last byte.
        case data
        case trailers(HPACKHeaders)
    }

    /// How much the peer takes of this stream; less than nothing when it has changed its mind.
    var window: Int
    var pieces: [Piece] = []
    /// What follows the pieces; `nil` while more may come.
    var end: (end: End, onSent: Action?)?
    /// Whether the connection has it in its list of those who wait for their turn.
    var isWaiting = false

    var isEmpty: Bool { pieces.isEmpty && end == nil }

    init(window: Int) { self.window = window }

    /// Takes bytes off the front.
    mutating func take(atMost count: Int) -> Piece? {
        guard !pieces.isEmpty, let bytes = pieces[0].bytes.readSlice(length: min(count, pieces[0].bytes.readableBytes))
        else { return nil }
        guard pieces[0].bytes.readableBytes == 0 else { return Piece(bytes: bytes, onSent: nil) }
        return Piece(bytes: bytes, onSent: pieces.removeFirst().onSent)
    }

    /// Nothing of it will be sent any more.
    mutating func clear() {
        pieces = []
        end = nil
    }
}
