import ApusCore

/// Detects duplicate keys in an object that is being closed.
struct ObjectKeys {
    /// The maximum number of keys that are compared pairwise and looked up by linear search.
    static var linearSearchLimit: Int { 16 }

    let object: Int
    let end: Int
    let nodes: UnsafeMutablePointer<Node>
    let bytes: UnsafeBufferPointer<UInt8>

    var count: Int { Int(nodes[object].count) }

    /// Whether lengths, first and last bytes suffice to tell all keys apart; a check of a few nanoseconds. `false` is
    /// inconclusive.
    var areDefinitelyUnique: Bool {
        guard count > 1 else { return true }
        guard count <= Self.linearSearchLimit else { return false }
        var seen: UInt64 = 0
        var key = object + 1
        while key < end {
            let node = nodes[key]
            if !node.isPlain { return false }
            let ends = UInt64(bytes[Int(node.start) &+ 1]) &* 5 &+ UInt64(bytes[Int(node.end) &- 2])
            let bit: UInt64 = 1 << ((ends &+ UInt64(node.end &- node.start) &* 11) & 63)
            if seen & bit != 0 { return false }
            seen |= bit
            key = nodes.after(key &+ 1)
        }
        return true
    }

    /// The first key that repeats an earlier one.
    var firstDuplicate: Int? { count <= Self.linearSearchLimit ? firstDuplicatePairwise : firstDuplicateByHashing }

    private var firstDuplicatePairwise: Int? {
        var key = object + 1
        while key < end {
            var earlier = object + 1
            while earlier < key {
                if nodes[earlier].hasSameText(as: nodes[key], in: bytes) { return key }
                earlier = nodes.after(earlier + 1)
            }
            key = nodes.after(key + 1)
        }
        return nil
    }

    private var firstDuplicateByHashing: Int? {
        var texts: Set<ExactString> = []
        var key = object + 1
        while key < end {
            guard texts.insert(ExactString(nodes[key].text(in: bytes))).inserted else { return key }
            key = nodes.after(key + 1)
        }
        return nil
    }
}

extension UnsafeMutablePointer<Node> {
    /// Returns the index of the node after a value and its contents.
    @inline(__always) func after(_ index: Int) -> Int {
        self[index].isContainer ? Int(self[index].end) : index &+ 1
    }
}
