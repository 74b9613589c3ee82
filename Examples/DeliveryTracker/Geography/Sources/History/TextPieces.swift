/// A text in pieces, each of which is made when it is its turn.
struct TextPieces<Piece: Sendable>: Sequence, Sendable {
    let pieces: [Piece]
    let text: @Sendable (Piece) -> String

    func makeIterator() -> some IteratorProtocol<String> {
        pieces.lazy.map(text).makeIterator()
    }
}

extension ArraySlice {
    /// The elements in slices of a size that is worth a write.
    var pieces: [ArraySlice<Element>] {
        stride(from: startIndex, to: endIndex, by: 256).map { self[$0..<Swift.min($0 + 256, endIndex)] }
    }
}
