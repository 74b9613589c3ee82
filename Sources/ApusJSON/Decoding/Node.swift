/// A value or key of a scanned document.
///
/// A document is a flat list of nodes in document order: an object is followed by its keys and values alternately, an
/// array by its elements, and each nested container by its contents.
struct Node {
    enum Kind: UInt8 {
        case null, `true`, `false`, integer, decimal, string, array, object
    }

    let kind: Kind
    /// Whether the bytes of a string are its text: ASCII without escapes.
    var isPlain = true
    /// Whether an object has too many keys for linear search, or duplicate keys.
    var needsIndex = false
    /// The offset of the first byte.
    let start: UInt32
    /// For a scalar, the offset after its last byte; for a closed array or object, the index after its last node.
    var end: UInt32
    /// The index of the enclosing array or object; ``noParent`` for the top-level value.
    let parent: UInt32
    /// The index in the enclosing array.
    let ordinal: UInt32
    /// The number of elements of an array or members of an object.
    var count: UInt32 = 0
    /// The index of the object's key that was found last. Types read keys in the order in which they were written.
    var lastFound: UInt32 = 0

    static var noParent: UInt32 { .max }

    var isContainer: Bool { kind == .array || kind == .object }

    /// The kind of value, for error messages.
    var kindName: String {
        switch kind {
        case .null: "null"
        case .true, .false: "a boolean"
        case .integer, .decimal: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A growable list of nodes without bounds checks, which are the caller's responsibility.
struct NodeList {
    private(set) var base: UnsafeMutablePointer<Node>
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    func deallocate() { base.deallocate() }

    @inline(__always) mutating func append(_ node: Node) {
        if count == capacity { grow() }
        base.advanced(by: count).initialize(to: node)
        count &+= 1
    }

    private mutating func grow() {
        capacity *= 2
        let grown = UnsafeMutablePointer<Node>.allocate(capacity: capacity)
        grown.moveInitialize(from: base, count: count)
        base.deallocate()
        base = grown
    }
}
