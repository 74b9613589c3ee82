/// A value's place in a document. A document is a list of nodes: an object is followed by its keys and values in turn, an
/// array by its elements, and what is inside those comes right after them.
struct Node {
    enum Kind: UInt8 {
        case null, `true`, `false`, integer, decimal, string, array, object
    }

    let kind: Kind
    /// A string whose bytes are its text: ASCII without escapes.
    var isPlain = true
    /// An object whose keys are too many to walk through, or not all different.
    var needsIndex = false
    /// The first byte.
    let start: UInt32
    /// After the last byte of a number or string; for an array or object that is closed, the node after its last.
    var end: UInt32
    /// The array or object that it is in; the first node is in none.
    let parent: UInt32
    /// Its place in the array.
    let ordinal: UInt32
    /// Elements of an array, pairs of an object.
    var count: UInt32 = 0
    /// The key of an object that was found last: types ask for keys in the order in which they are written.
    var lastFound: UInt32 = 0

    static var noParent: UInt32 { .max }

    var isContainer: Bool { kind == .array || kind == .object }

    /// What it is, for a message.
    var name: String {
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

/// Nodes as they are found. It grows, and never checks bounds that its one user has checked.
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
