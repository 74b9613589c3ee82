import NIOCore
import NIOHPACK

/// The output of a stream that waits for the peer's flow-control window (RFC 9113 §5.2).
struct SendQueue {
    /// Called when bytes have been sent.
    typealias Action = @Sendable () -> Void

    struct Piece {
        var bytes: ByteBuffer
        var onSent: Action?
    }

    enum End {
        /// The stream ends with the last byte.
        case data
        /// The stream ends with trailers.
        case trailers(HPACKHeaders)
    }

    /// How many bytes the peer accepts on this stream; negative if the peer has decreased its window.
    var window: Int
    /// Created on demand, because most streams never wait.
    private var pieces: CircularBuffer<Piece>?
    /// How the stream ends after the pieces; `nil` while more may follow.
    var end: (end: End, onSent: Action?)?
    /// Whether the stream waits for its turn in the connection's list.
    var isWaiting = false

    var hasPieces: Bool { pieces?.isEmpty == false }
    var isEmpty: Bool { !hasPieces && end == nil }

    init(window: Int) { self.window = window }

    mutating func append(_ bytes: ByteBuffer, _ onSent: Action?) {
        pieces = pieces ?? CircularBuffer(initialCapacity: 4)
        pieces?.append(Piece(bytes: bytes, onSent: onSent))
    }

    /// Removes bytes from the front.
    mutating func take(atMost count: Int) -> Piece? {
        guard var piece = pieces?.popFirst() else { return nil }
        guard piece.bytes.readableBytes > count, let bytes = piece.bytes.readSlice(length: count) else { return piece }
        pieces?.prepend(piece)
        return Piece(bytes: bytes, onSent: nil)
    }

    /// Discards everything that has not been sent.
    mutating func clear() {
        pieces = nil
        end = nil
    }
}
