/// The keys of an object that ends: whether one is there twice.
struct ObjectKeys {
    /// Up to so many keys are compared by pairs, and found by walking.
    static var fewCount: Int { 16 }

    let object: Int
    let end: Int
    let nodes: UnsafeMutablePointer<Node>
    let bytes: UnsafeBufferPointer<UInt8>

    var count: Int { Int(nodes[object].count) }

    /// Whether lengths, first and last bytes alone tell all keys apart, which takes a few nanoseconds.
    var areSurelyDifferent: Bool {
        guard count > 1 else { return true }
        guard count <= Self.fewCount else { return false }
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

    /// The first key that was there before.
    var firstRepeated: Int? { count <= Self.fewCount ? firstRepeatedByPairs : firstRepeatedOfMany }

    private var firstRepeatedByPairs: Int? {
        var key = object + 1
        while key < end {
            var earlier = object + 1
            while earlier < key {
                if nodes[earlier].isSameText(as: nodes[key], in: bytes) { return key }
                earlier = nodes.after(earlier + 1)
            }
            key = nodes.after(key + 1)
        }
        return nil
    }

    private var firstRepeatedOfMany: Int? {
        var texts: Set<String> = []
        var key = object + 1
        while key < end {
            guard texts.insert(nodes[key].text(in: bytes)).inserted else { return key }
            key = nodes.after(key + 1)
        }
        return nil
    }
}

extension UnsafeMutablePointer<Node> {
    /// The node that comes after a value and all that is in it.
    @inline(__always) func after(_ index: Int) -> Int {
        self[index].isContainer ? Int(self[index].end) : index &+ 1
    }
}
