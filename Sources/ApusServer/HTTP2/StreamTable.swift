/// The open streams of a connection.
///
/// Clients number their streams in ascending order, so a list to which new streams are appended stays sorted, and a
/// search looks at seven of a hundred. Hashing would cost more.
struct StreamTable {
    private var entries: [(id: UInt32, stream: HTTP2Stream)] = []

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    var streams: some Sequence<HTTP2Stream> { entries.lazy.map(\.stream) }

    subscript(id: UInt32) -> HTTP2Stream? { index(of: id).map { entries[$0].stream } }

    /// - Parameter id: A number higher than all before.
    mutating func append(_ stream: HTTP2Stream, id: UInt32) { entries.append((id, stream)) }

    mutating func remove(_ id: UInt32) -> HTTP2Stream? { index(of: id).map { entries.remove(at: $0).stream } }

    private func index(of id: UInt32) -> Int? {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].id == id ? low : nil
    }
}
