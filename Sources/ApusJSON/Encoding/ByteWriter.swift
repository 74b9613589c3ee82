import FoundationEssentials

/// A single-pass writer of one document: its output and its open arrays and objects.
///
/// `Codable` does not signal the end of a container, so an array or object is closed when its parent is written to
/// again, or at the end of the document. Exclusivity checks, which would otherwise take three fifths of the time, are
/// disabled. This is safe: each access is one read or write of a plain value that calls no foreign code, and a writer
/// belongs to one call of `encode`.
final class ByteWriter {
    /// An open array or object.
    struct Level {
        fileprivate let serial: UInt32
        fileprivate let closer: UInt8
        /// The number of elements or keys so far.
        fileprivate var count: UInt32 = 0
        /// The offset of an object's last key.
        fileprivate var keyStart = 0
        /// The number of recorded keys, not counting those of the key table.
        fileprivate var recordedKeys = 0
        /// One bit for each key of the key table that was written.
        fileprivate var tableKeys: UInt64 = 0

        init(serial: UInt32, closer: UInt8) {
            self.serial = serial
            self.closer = closer
        }
    }

    /// The range of a written key, including its quotes.
    struct Key {
        fileprivate let start: Int
        fileprivate let count: Int
    }

    /// A reference to a container, valid while its level is open.
    struct Slot {
        fileprivate let depth: UInt32
        fileprivate let serial: UInt32
    }

    let options: JSON.Encoder
    private let maximumDepth: Int
    let escapesSlashes: Bool
    let convertsKeys: Bool

    /// Whether a single pass cannot write the value, so that Foundation has to. The output is then meaningless.
    @exclusivity(unchecked) private(set) var needsFoundation = false
    /// The error for a value that cannot be written at all, not even by Foundation.
    @exclusivity(unchecked) private(set) var failure: EncodingError?
    @exclusivity(unchecked) private var hasFailed = false
    /// Keys converted to snake case, by original name.
    @exclusivity(unchecked) var convertedKeys: [String: String] = [:]
    /// The hashes of the keys beyond the first ``WriterMemory/keysPerLevel`` of a level, by its serial number.
    @exclusivity(unchecked) private var keyHashes: [UInt32: Set<UInt64>] = [:]
    /// The current key of each level before its conversion by the key strategy.
    @exclusivity(unchecked) private var originalNames: [String] = []

    @exclusivity(unchecked) private var memory = WriterMemory.acquire()
    @exclusivity(unchecked) private(set) var count = 0
    @exclusivity(unchecked) private(set) var depth = 0
    @exclusivity(unchecked) private var lastSerial: UInt32 = 0

    init(options: JSON.Encoder) {
        self.options = options
        convertsKeys = options.keyEncodingStrategy.convertsKeys
        maximumDepth = options.maximumDepth
        escapesSlashes = !options.outputFormatting.contains(.withoutEscapingSlashes)
    }

    deinit { memory.recycle() }

    private var base: UnsafeMutablePointer<UInt8> { memory.bytes }
    private var levels: UnsafeMutablePointer<Level> { memory.levels }

    /// The output, valid during the writer's lifetime until more is written.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Writes a document. The output must be empty before.
    func write(document value: some Encodable) throws {
        if try !writeKnownType(value) {
            try value.encode(to: ValueEncoder(writer: self))
            close(to: 0)
        }
        if let failure { throw failure }
        if count == 0 {
            let description = "Top-level \(type(of: value)) did not encode any values."
            throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: description))
        }
    }

    // MARK: Levels

    /// Opens an array or object.
    func open(_ opener: UInt8, closer: UInt8) -> Slot {
        append(opener)
        lastSerial &+= 1
        if depth == memory.levelCapacity { memory.growLevels() }
        levels[depth] = Level(serial: lastSerial, closer: closer)
        depth += 1
        if depth > maximumDepth { _ = failForDepth() }
        return Slot(depth: UInt32(truncatingIfNeeded: depth), serial: lastSerial)
    }

    /// Prepares for the next element or key of a container: closes what was opened inside it and writes a comma if
    /// needed.
    @inline(__always) func next(in slot: Slot) throws {
        if hasFailed { throw failForDepth() }
        if depth != Int(slot.depth) || levels[depth - 1].serial != slot.serial { unwind(to: slot) }
        if levels[depth - 1].count > 0 { append(UInt8(ascii: ",")) }
        levels[depth - 1].count &+= 1
    }

    /// Returns the key table of a key type; `nil` if keys are converted or the maximum number of tables is reached.
    func keyTable(of type: any CodingKey.Type) -> KeyTable? { convertsKeys ? nil : memory.keyTable(of: type) }

    /// Detaches the cached containers from this writer.
    func endDocument() { for table in memory.keyTables { table.endDocument() } }

    /// Writes a key of the innermost object. ``next(in:)`` must have been called before.
    @inline(__always) func write(key: some CodingKey, in context: ObjectContext) {
        let number = KeyTable.number(of: key)
        let text = context.text(number)
        guard let start = text.start else { return write(uncached: key, in: context) }
        levels[depth - 1].keyStart = count
        recordTableKey(number)
        reserve(max(text.count, 16))
        let target = base + count
        if text.count <= 16 {
            let word = UnsafeRawPointer(start).loadUnaligned(as: (UInt64, UInt64).self)
            UnsafeMutableRawPointer(target).storeBytes(of: word, as: (UInt64, UInt64).self)
        } else {
            target.update(from: start, count: text.count)
        }
        count &+= text.count
    }

    @inline(never) private func write(uncached key: some CodingKey, in context: ObjectContext) {
        guard !convertsKeys else {
            return write(key: converted(key, at: path(depth: depth - 1)), original: key.stringValue)
        }
        write(plainKey: key.stringValue)
        let start = levels[depth - 1].keyStart
        let number = KeyTable.number(of: key)
        switch context.cache(number, written: UnsafeBufferPointer(start: base + start, count: count - start)) {
        case true?: recordTableKey(number)
        // Keys that the table had were not recorded, so this one was not compared with them.
        case false?: if levels[depth - 1].tableKeys != 0 { fallBack() }
        case nil: break
        }
    }

    /// Writes a key that the key strategy was applied to.
    func write(key: String, original: String) {
        write(plainKey: key)
        guard convertsKeys else { return }
        originalNames.removeLast(max(0, originalNames.count - depth))
        while originalNames.count < depth { originalNames.append("") }
        originalNames[depth - 1] = original
    }

    private func write(plainKey key: consuming String) {
        let start = count
        levels[depth - 1].keyStart = start
        write(key)
        record(Key(start: start, count: count - start))
        append(UInt8(ascii: ":"))
    }

    /// Closes what was opened inside a container; falls back to Foundation if the container itself was closed.
    private func unwind(to slot: Slot) {
        if slot.depth <= depth, levels[Int(slot.depth) - 1].serial == slot.serial { return close(to: Int(slot.depth)) }
        fallBack()
        // Types continue unaware of the fallback, so there must be a level to write to.
        if depth == 0 { _ = open(UInt8(ascii: "["), closer: UInt8(ascii: "]")) }
    }

    /// Records that a key of the key table was written. Duplicate keys are left to Foundation, which overwrites and
    /// merges their values.
    @inline(__always) private func recordTableKey(_ number: Int) {
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: number)
        if levels[depth - 1].tableKeys & bit != 0 { fallBack() }
        levels[depth - 1].tableKeys |= bit
    }

    /// Records any other key. Duplicates are left to Foundation here as well.
    private func record(_ key: Key) {
        let recorded = levels[depth - 1].recordedKeys
        let known = memory.keys + (depth - 1) * WriterMemory.keysPerLevel
        for index in 0..<min(recorded, WriterMemory.keysPerLevel)
        where known[index].count == key.count
            && areEqual(base + known[index].start, base + key.start, count: key.count)
        {
            fallBack()
        }
        if recorded < WriterMemory.keysPerLevel {
            known[recorded] = key
        } else {
            let hash = UnsafeBufferPointer(start: base + key.start, count: key.count).hash
            if !keyHashes[levels[depth - 1].serial, default: []].insert(hash).inserted { fallBack() }
        }
        levels[depth - 1].recordedKeys = recorded + 1
    }

    /// The coding path of the value being written: the current key or index of each level.
    var path: [any CodingKey] { path(depth: depth) }

    /// Returns the coding path of an open container.
    func path(of slot: Slot) -> [any CodingKey] { path(depth: min(depth, Int(slot.depth) - 1)) }

    /// Returns the coding path of the outermost `depth` levels.
    func path(depth: Int) -> [any CodingKey] {
        (0..<min(depth, self.depth)).compactMap { index in
            let level = levels[index]
            if level.count == 0 { return nil }
            return level.closer == UInt8(ascii: "]") ? IndexKey(Int(level.count) - 1) : NameKey(name(at: index))
        }
    }

    /// Returns the current key of an object. It is parsed from the output, because most documents never need it.
    private func name(at level: Int) -> String {
        if convertsKeys { return level < originalNames.count ? originalNames[level] : "" }
        let written = UnsafeBufferPointer(start: base, count: count)
        let start = levels[level].keyStart
        var end = start + 1
        while end < count, written[end] != UInt8(ascii: "\"") { end += written[end] == UInt8(ascii: "\\") ? 2 : 1 }
        let node = Node(
            kind: .string, isPlain: false, start: UInt32(clamping: start), end: UInt32(clamping: end + 1),
            parent: Node.noParent, ordinal: 0)
        return node.text(in: written)
    }

    /// Closes a container and what was opened inside it.
    func close(_ slot: Slot) { close(to: Int(slot.depth) - 1) }

    private func close(to target: Int) {
        while depth > target {
            depth -= 1
            append(levels[depth].closer)
            if levels[depth].recordedKeys > WriterMemory.keysPerLevel { keyHashes[levels[depth].serial] = nil }
        }
    }

    /// Leaves the whole document to Foundation. The output of this writer is meaningless from here on.
    func fallBack() { needsFoundation = true }

    // MARK: Values

    /// Writes a value by its `encode(to:)`. Closes the containers it opens; a value that encodes nothing becomes `{}`.
    func writeWithEncoder(_ write: (ValueEncoder) throws -> Void) throws {
        guard depth <= maximumDepth else { throw failForDepth() }
        let level = depth
        let start = count
        try write(ValueEncoder(writer: self))
        close(to: level)
        if count == start { append("{}") }
    }

    /// Records an error that ends the encoding even if a type catches it.
    func fail(_ value: Any, _ description: String) -> EncodingError {
        if let failure { return failure }
        let error = EncodingError.invalidValue(value, .init(codingPath: path, debugDescription: description))
        failure = error
        hasFailed = true
        return error
    }

    private func failForDepth() -> EncodingError {
        fail(depth, "Nesting exceeds the limit of \(maximumDepth) levels.")
    }

    // MARK: Bytes

    @inline(__always) func append(_ byte: UInt8) {
        if count == memory.byteCapacity { memory.growBytes(by: 1, keeping: count) }
        base[count] = byte
        count &+= 1
    }

    @inline(__always) func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always) func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count)
        base.advanced(by: count).update(from: source, count: bytes.count)
        count &+= bytes.count
    }

    /// Reserves `extra` bytes and appends the bytes that `fill` writes; it returns their number.
    @inline(__always) func append(atMost extra: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Int) {
        reserve(extra)
        count &+= fill(base.advanced(by: count))
    }

    @inline(__always) private func reserve(_ extra: Int) {
        if memory.byteCapacity &- count < extra { memory.growBytes(by: extra, keeping: count) }
    }
}

/// Compares eight bytes at a time. Keys are too short to be worth a library call.
@inline(__always)
private func areEqual(_ left: UnsafePointer<UInt8>, _ right: UnsafePointer<UInt8>?, count: Int) -> Bool {
    guard let right else { return count == 0 }
    func word(_ start: UnsafePointer<UInt8>, _ offset: Int) -> UInt64 {
        UnsafeRawPointer(start).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
    guard count >= 8 else {
        for index in 0..<count where left[index] != right[index] { return false }
        return true
    }
    for offset in stride(from: 0, to: count - 8, by: 8) where word(left, offset) != word(right, offset) { return false }
    return word(left, count - 8) == word(right, count - 8)
}

extension UnsafeBufferPointer<UInt8> {
    /// A hash of a key, computed eight bytes at a time. Not resistant to deliberate collisions, which only cost time.
    @inline(__always) fileprivate var hash: UInt64 {
        func word(at offset: Int) -> UInt64 {
            UnsafeRawBufferPointer(self).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
        func mixed(_ hash: UInt64, _ word: UInt64) -> UInt64 {
            let product = (hash ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            return product.high ^ product.low
        }
        var hash = UInt64(count)
        guard count >= 8 else {
            // A key has at least two bytes, its quotes.
            for byte in self { hash = hash << 8 | UInt64(byte) }
            return hash
        }
        for offset in stride(from: 0, to: count - 8, by: 8) { hash = mixed(hash, word(at: offset)) }
        return mixed(hash, word(at: count - 8))
    }
}
