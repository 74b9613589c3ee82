import ApusCore

/// A tree of path segments. Constants take precedence over parameters, and parameters over `**`; if a branch has no
/// match, the next one is tried.
///
/// All nodes, hash tables and texts are in three flat arrays, and a path is matched as bytes, so a match allocates no
/// objects. The type is a class, so that a match does not retain and release the arrays either.
final class RouteTrie: Sendable {
    private struct Node: Sendable {
        /// The start of the hash table of constant segments in `slots`.
        var table = 0
        /// The size of the hash table minus one; -1 if there are no constant segments.
        var mask = -1
        var parameter: Int?
        var rest: Int?
        /// The index of the endpoint whose pattern ends here.
        var endpoint: Int?
    }

    /// A slot of a hash table: the text of a segment and its node.
    private struct Slot: Sendable {
        var textStart = 0
        var textCount = 0
        var node = -1
    }

    private let nodes: [Node]
    private let slots: [Slot]
    private let texts: [UInt8]

    /// A tree under construction.
    struct Builder {
        fileprivate struct Branch {
            var constants: [(text: String, node: Int)] = []
            var parameter: Int?
            var rest: Int?
            var endpoint: Int?
        }

        fileprivate var branches = [Branch()]

        /// Inserts a pattern.
        /// - Parameter next: The index for the endpoint if there is none for patterns of this shape yet.
        /// - Returns: The index of the endpoint for patterns of this shape.
        mutating func insert(_ pattern: RoutePattern, next: Int) -> Int {
            var current = 0
            for segment in pattern.segments { current = child(of: current, segment) }
            if let endpoint = branches[current].endpoint { return endpoint }
            branches[current].endpoint = next
            return next
        }

        private mutating func child(of node: Int, _ segment: RoutePattern.Segment) -> Int {
            let new = branches.count
            switch segment {
            case .constant(let text):
                if let known = branches[node].constants.first(where: { $0.text.isExactly(text) }) { return known.node }
                branches[node].constants.append((text, new))
            case .parameter:
                if let known = branches[node].parameter { return known }
                branches[node].parameter = new
            case .rest:
                if let known = branches[node].rest { return known }
                branches[node].rest = new
            }
            branches.append(Branch())
            return new
        }
    }

    init(_ builder: Builder) {
        var slots: [Slot] = []
        var texts: [UInt8] = []
        nodes = builder.branches.map { branch in
            var node = Node(parameter: branch.parameter, rest: branch.rest, endpoint: branch.endpoint)
            guard !branch.constants.isEmpty else { return node }
            // A load factor of at most one half keeps searches short.
            var size = 2
            while size < branch.constants.count * 2 { size *= 2 }
            node.table = slots.count
            node.mask = size - 1
            slots.append(contentsOf: repeatElement(Slot(), count: size))
            for (text, child) in branch.constants {
                var position = Self.hash(text.utf8) & node.mask
                while slots[node.table + position].node >= 0 { position = (position + 1) & node.mask }
                slots[node.table + position] = Slot(textStart: texts.count, textCount: text.utf8.count, node: child)
                texts.append(contentsOf: text.utf8)
            }
            return node
        }
        self.slots = slots
        self.texts = texts
    }

    /// Returns the index of the endpoint for a path, or `nil` if there is none.
    func match(_ path: PathBytes) -> Int? { match(path, at: path.start, from: 0) }

    // The recursion is at most as deep as the longest pattern, which is part of the service and not input.
    private func match(_ path: PathBytes, at start: Int, from index: Int) -> Int? {
        let node = nodes[index]
        guard path.hasSegment(at: start) else { return node.endpoint }
        let segment = path.segment(at: start)
        let next = start + segment.count + 1
        if node.mask >= 0, let child = constant(segment, node), let found = match(path, at: next, from: child) {
            return found
        }
        if !segment.isEmpty, let child = node.parameter, let found = match(path, at: next, from: child) { return found }
        return node.rest.flatMap { nodes[$0].endpoint }
    }

    private func constant(_ segment: UnsafeBufferPointer<UInt8>, _ node: Node) -> Int? {
        var position = Self.hash(segment) & node.mask
        while true {
            let slot = slots[node.table + position]
            if slot.node < 0 { return nil }
            if slot.textCount == segment.count, isText(slot, segment) { return slot.node }
            position = (position + 1) & node.mask
        }
    }

    private func isText(_ slot: Slot, _ segment: UnsafeBufferPointer<UInt8>) -> Bool {
        for offset in segment.indices where texts[slot.textStart + offset] != segment[offset] { return false }
        return true
    }

    /// Returns the FNV-1a hash. The tables contain only declared segments, so clients cannot add colliding ones.
    private static func hash(_ bytes: some Sequence<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: (hash ^ hash >> 32) & 0x7FFF_FFFF)
    }
}
