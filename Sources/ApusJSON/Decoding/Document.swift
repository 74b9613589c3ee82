/// A document that was read: its bytes and the places of its values.
///
/// The bytes are the caller's until ``keepBytes()``. Used by one thread at a time, as every `Decoder`.
final class Document {
    let options: JSON.Decoder
    let convertsKeys: Bool
    let nodes: UnsafeMutablePointer<Node>
    private(set) var bytes: UnsafeBufferPointer<UInt8>
    private var ownBytes: UnsafeMutableBufferPointer<UInt8>?
    /// A value that is not there, as `null`.
    let missing: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, options: JSON.Decoder) throws(JSON.SyntaxError) {
        var list = try Scanner.scan(bytes, limits: options.limits)
        missing = list.count
        list.append(Node(kind: .null, start: 0, end: 0))
        nodes = list.base
        self.bytes = bytes
        self.options = options
        convertsKeys = options.keyDecodingStrategy.convertsKeys
    }

    deinit {
        nodes.deallocate()
        ownBytes?.deallocate()
    }

    /// Keeps a copy of the bytes, for a type that holds on to its decoder.
    func keepBytes() {
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = copy.initialize(from: bytes)
        ownBytes = copy
        bytes = UnsafeBufferPointer(copy)
    }

    // MARK: Objects

    /// The value under a key, by walking from the key that was found last. For objects without an index.
    @inline(__always) func value(of name: String, inObject object: Int) -> Int? {
        var name = name
        let found = name.withUTF8 { key(with: $0, inObject: object) }
        if let found { return found }
        return name.utf8.allSatisfy { $0 < 0x80 }
            ? nil : keys(ofObject: object).first { text(at: $0) == name }.map { $0 + 1 }
    }

    private func key(with name: UnsafeBufferPointer<UInt8>, inObject object: Int) -> Int? {
        let end = Int(nodes[object].end)
        let first = Int(nodes[object].lastFound)
        var key = first
        guard object &+ 1 < end else { return nil }
        repeat {
            if has(key, name) {
                nodes[object].lastFound = UInt32(truncatingIfNeeded: key)
                return key &+ 1
            }
            key = nodes.after(key &+ 1)
            if key == end { key = object &+ 1 }
        } while key != first
        return nil
    }

    @inline(__always) private func has(_ key: Int, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        let node = nodes[key]
        if node.isEscaped { return node.text(in: bytes).utf8.elementsEqual(name) }
        guard Int(node.end &- node.start) &- 2 == name.count else { return false }
        let start = Int(node.start) &+ 1
        for offset in 0..<name.count where bytes[start &+ offset] != name[offset] { return false }
        return true
    }

    /// The places of an object's keys.
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

    // MARK: Errors

    /// The keys that lead to a value, as the document has them.
    func path(to target: Int) -> [any CodingKey] {
        var path: [any CodingKey] = []
        var index = 0
        while index < target, target < missing {
            let isObject = nodes[index].kind == .object
            var child = index + 1
            var count = 0
            while nodes.after(isObject ? child + 1 : child) <= target {
                child = nodes.after(isObject ? child + 1 : child)
                count += 1
            }
            path.append(isObject ? NameKey(text(at: child)) as any CodingKey : IndexKey(count))
            index = isObject ? child + 1 : child
        }
        return path
    }

    func context(_ index: Int, _ description: String) -> DecodingError.Context {
        guard index < missing else { return .init(codingPath: [], debugDescription: description) }
        let position = position(of: Int(nodes[index].start), in: bytes)
        return .init(
            codingPath: path(to: index),
            debugDescription: "\(description) (line \(position.line), column \(position.column))")
    }

    func mismatch(_ type: Any.Type, at index: Int) -> DecodingError {
        if nodes[index].kind == .null {
            return .valueNotFound(type, context(index, "Expected \(type) but found null."))
        }
        return .typeMismatch(type, context(index, "Expected \(type) but found \(nodes[index].name)."))
    }
}
