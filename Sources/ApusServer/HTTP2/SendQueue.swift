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
    /// Made when it is needed: most streams never wait.
    private var pieces: CircularBuffer<Piece>?
    /// What follows the pieces; `nil` while more may come.
    var end: (end: End, onSent: Action?)?
    /// Whether the connection has it in its list of those who wait for their turn.
    var isWaiting = false

    var hasPieces: Bool { pieces?.isEmpty == false }
    var isEmpty: Bool { !hasPieces && end == nil }

    init(window: Int) { self.window = window }

    mutating func append(_ bytes: ByteBuffer, _ onSent: Action?) {
        pieces = pieces ?? CircularBuffer(initialCapacity: 4)
        pieces?.append(Piece(bytes: bytes, onSent: onSent))
    }

    /// Takes bytes off the front.
    mutating func take(atMost count: Int) -> Piece? {
        guard var piece = pieces?.popFirst() else { return nil }
        guard piece.bytes.readableBytes > count, let bytes = piece.bytes.readSlice(length: count) else { return piece }
        pieces?.prepend(piece)
        return Piece(bytes: bytes, onSent: nil)
    }

    /// Nothing of it will be sent any more.
    mutating func clear() {
        pieces = nil
        end = nil
    }
}
