/// A scanned document: its bytes and the nodes of its values.
///
/// The bytes belong to the caller until ``copyBytes()`` is called. Not thread-safe, like every `Decoder`.
final class Document {
    let options: JSON.Decoder
    let convertsKeys: Bool
    let nodes: UnsafeMutablePointer<Node>
    private(set) var bytes: UnsafeBufferPointer<UInt8>
    private var ownedBytes: UnsafeMutableBufferPointer<UInt8>?
    /// An error that was found where none can be thrown: it counts once the value is decoded.
    private(set) var deferredError: DecodingError?
    /// The index of a `null` node that stands for missing values.
    let missingIndex: Int
    /// The last failure and its node. Types may try several decodings in turn, so the line is computed only for an
    /// error that is thrown to the caller.
    private var lastFailure: (description: String, index: Int)?

    init(_ bytes: UnsafeBufferPointer<UInt8>, options: JSON.Decoder) throws(JSON.SyntaxError) {
        var list = try Scanner.scan(bytes, limits: options.limits)
        missingIndex = list.count
        list.append(Node(kind: .null, start: 0, end: 0, parent: Node.noParent, ordinal: 0))
        nodes = list.base
        self.bytes = bytes
        self.options = options
        convertsKeys = options.keyDecodingStrategy.convertsKeys
    }

    deinit {
        nodes.deallocate()
        ownedBytes?.deallocate()
    }

    /// Copies the bytes, for a type that keeps its decoder after decoding.
    func copyBytes() {
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = copy.initialize(from: bytes)
        ownedBytes = copy
        bytes = UnsafeBufferPointer(copy)
    }

    // MARK: Objects

    /// Returns the node index of the value with the given name, by linear search that starts at the key found last. For
    /// objects without an index.
    @inline(__always) func value(of name: String, inObject object: Int) -> Int? {
        var name = name
        return name.withUTF8 { key(with: $0, inObject: object) }
    }

    private func key(with name: UnsafeBufferPointer<UInt8>, inObject object: Int) -> Int? {
        let end = Int(nodes[object].end)
        let first = Int(nodes[object].lastFound)
        var key = first
        guard object &+ 1 < end else { return nil }
        repeat {
            if matches(key, name) {
                nodes[object].lastFound = UInt32(truncatingIfNeeded: key)
                return key &+ 1
            }
            key = nodes.after(key &+ 1)
            if key == end { key = object &+ 1 }
        } while key != first
        return nil
    }

    @inline(__always) private func matches(_ key: Int, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        let node = nodes[key]
        if !node.isPlain { return node.text(in: bytes).utf8.elementsEqual(name) }
        guard Int(node.end &- node.start) &- 2 == name.count else { return false }
        let start = Int(node.start) &+ 1
        for offset in 0..<name.count where bytes[start &+ offset] != name[offset] { return false }
        return true
    }

    /// Returns the node indexes of an object's keys.
    func keys(ofObject object: Int) -> [Int] {
        var keys: [Int] = []
        keys.reserveCapacity(Int(nodes[object].count))
        var key = object + 1
        while key < Int(nodes[object].end) {
            keys.append(key)
            key = nodes.after(key + 1)
        }
        return keys
    }

    func text(at index: Int) -> String { nodes[index].text(in: bytes) }

    /// Notes that two keys are equal as Swift's strings compare and differ in their code units, if a `Dictionary` asks for
    /// them: it would lose one of the values without a word.
    /// - Returns: The keys that the container has.
    func checkDictionaryKeys(_ names: [String], of object: Int, _ type: any CodingKey.Type) -> [String] {
        guard names.contains(where: { name in !name.utf8.allSatisfy { $0 < 0x80 } }), Set(names).count < names.count,
            "\(type)" == "_DictionaryCodingKey"
        else { return names }
        guard case .reject = options.limits.duplicateKeys else {
            // The first one is used, as of keys that are the same.
            var seen: Set<String> = []
            return names.filter { seen.insert($0).inserted }
        }
        deferredError =
            deferredError
            ?? .dataCorrupted(
                context(object, "Two keys are canonically equivalent, which a Dictionary cannot keep apart."))
        return names
    }

    // MARK: Errors

    /// Returns the coding path of a value, with the document's own keys.
    func path(to target: Int) -> [any CodingKey] {
        var path: [any CodingKey] = []
        var index = target
        while index < missingIndex, nodes[index].parent != Node.noParent {
            let parent = Int(nodes[index].parent)
            let isInObject = nodes[parent].kind == .object
            path.append(
                isInObject ? NameKey(text(at: index - 1)) as any CodingKey : IndexKey(Int(nodes[index].ordinal)))
            index = parent
        }
        return path.reversed()
    }

    func context(_ index: Int, _ description: String) -> DecodingError.Context {
        lastFailure = (description, index)
        return .init(codingPath: path(to: index), debugDescription: description)
    }

    /// Returns the error with the line and column of the value it refers to.
    func located(_ error: DecodingError) -> DecodingError {
        func located(_ context: DecodingError.Context) -> DecodingError.Context {
            guard let lastFailure, lastFailure.description == context.debugDescription,
                lastFailure.index < missingIndex
            else {
                return context
            }
            let position = position(of: Int(nodes[lastFailure.index].start), in: bytes)
            return .init(
                codingPath: context.codingPath,
                debugDescription: "\(context.debugDescription) (line \(position.line), column \(position.column))",
                underlyingError: context.underlyingError)
        }
        switch error {
        case .typeMismatch(let type, let context): return .typeMismatch(type, located(context))
        case .valueNotFound(let type, let context): return .valueNotFound(type, located(context))
        case .keyNotFound(let key, let context): return .keyNotFound(key, located(context))
        case .dataCorrupted(let context): return .dataCorrupted(located(context))
        @unknown default: return error
        }
    }

    func mismatch(_ type: Any.Type, at index: Int) -> DecodingError {
        if nodes[index].kind == .null {
            return .valueNotFound(type, context(index, "Expected \(type) but found null."))
        }
        return .typeMismatch(type, context(index, "Expected \(type) but found \(nodes[index].kindName)."))
    }
}
