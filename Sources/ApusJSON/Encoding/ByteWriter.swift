import FoundationEssentials

/// The bytes of one document as they grow, and the arrays and objects that are open.
///
/// Containers of `Codable` have no end that a writer is told of: an array or object is closed when its parent goes on, or
/// at the end. Its properties are unchecked for exclusivity (three fifths of the time otherwise): each access is one
/// read or write of a plain value that calls no code of others, and one writer belongs to one call of `encode`.
final class ByteWriter {
    /// An array or object that is open.
    struct Level {
        fileprivate let serial: UInt32
        fileprivate let closer: UInt8
        /// Elements or keys so far.
        fileprivate var count: UInt32 = 0
        /// Where the last key of an object begins.
        fileprivate var keyStart = 0
        /// How many keys stand in the list of those that are compared.
        fileprivate var listed = 0
        /// Of the keys that a table knows, a bit for each that was written.
        fileprivate var numbers: UInt64 = 0

        init(serial: UInt32, closer: UInt8) {
            self.serial = serial
            self.closer = closer
        }
    }

    /// Where a key was written, with its quotes.
    struct Key {
        fileprivate let start: Int
        fileprivate let count: Int
    }

    /// A container's place: usable while its level is open.
    struct Slot {
        fileprivate let depth: UInt32
        fileprivate let serial: UInt32
    }

    let options: JSON.Encoder
    private let maximumDepth: Int
    let escapesSlashes: Bool
    let convertsKeys: Bool

    /// Something was written that one pass cannot write. What follows is of no use.
    @exclusivity(unchecked) private(set) var isOutOfOrder = false
    /// Why the value cannot be written at all, by Foundation neither.
    @exclusivity(unchecked) private(set) var refusal: EncodingError?
    @exclusivity(unchecked) private var isRefused = false
    /// By name, what a strategy made of it.
    @exclusivity(unchecked) var convertedKeys: [String: String] = [:]
    /// Hashes of the keys after those, by level.
    @exclusivity(unchecked) private var manyKeys: [UInt32: Set<UInt64>] = [:]
    /// The current key of each level as it was before a strategy converted it.
    @exclusivity(unchecked) private var originalNames: [String] = []

    @exclusivity(unchecked) private var memory = WriterMemory.take()
    @exclusivity(unchecked) private(set) var count = 0
    @exclusivity(unchecked) private(set) var depth = 0
    @exclusivity(unchecked) private var lastSerial: UInt32 = 0

    init(options: JSON.Encoder) {
        self.options = options
        convertsKeys = options.keyEncodingStrategy.convertsKeys
        maximumDepth = options.maximumDepth
        escapesSlashes = !options.outputFormatting.contains(.withoutEscapingSlashes)
    }

    deinit { memory.giveBack() }

    private var base: UnsafeMutablePointer<UInt8> { memory.bytes }
    private var levels: UnsafeMutablePointer<Level> { memory.levels }

    /// What was written, valid as long as the writer is, and until more is written.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// One document. Nothing may be written before.
    func write(document value: some Encodable) throws {
        if try !writeKnown(value) {
            try value.encode(to: ValueEncoder(writer: self))
            close(to: 0)
        }
        if let refusal { throw refusal }
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
        if depth > maximumDepth { _ = refuseDepth() }
        return Slot(depth: UInt32(truncatingIfNeeded: depth), serial: lastSerial)
    }

    /// Prepares for the next element or key of a container: closes what was opened inside it, and separates.
    @inline(__always) func next(in slot: Slot) throws {
        if isRefused { throw refuseDepth() }
        if depth != Int(slot.depth) || levels[depth - 1].serial != slot.serial { goBack(to: slot) }
        if levels[depth - 1].count > 0 { append(UInt8(ascii: ",")) }
        levels[depth - 1].count &+= 1
    }

    /// What is known of a type of keys, when they are written as they are.
    func keyTable(of type: any CodingKey.Type) -> KeyTable? { convertsKeys ? nil : memory.keyTable(of: type) }

    /// A document is done: what was lent out of memory comes back.
    func endDocument() { for table in memory.keyTables { table.endDocument() } }

    /// A key of the innermost object, which ``next(in:)`` was called for.
    @inline(__always) func write(key: some CodingKey, in place: ObjectPlace) {
        let number = KeyTable.number(of: key)
        let text = place.text(number)
        guard let start = text.start else { return write(unknown: key, in: place) }
        levels[depth - 1].keyStart = count
        note(number: number)
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

    @inline(never) private func write(unknown key: some CodingKey, in place: ObjectPlace) {
        guard !convertsKeys else {
            return write(key: converted(key, at: path(depth: depth - 1)), original: key.stringValue)
        }
        write(plainKey: key.stringValue)
        let start = levels[depth - 1].keyStart
        let number = KeyTable.number(of: key)
        switch place.learn(number, written: UnsafeBufferPointer(start: base + start, count: count - start)) {
        case true?: note(number: number)
        // Keys that the table knew are not in the list that this one was compared with.
        case false?: if levels[depth - 1].numbers != 0 { giveUp() }
        case nil: break
        }
    }

    /// A key after a strategy.
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
        note(Key(start: start, count: count - start))
        append(UInt8(ascii: ":"))
    }

    private func goBack(to slot: Slot) {
        if slot.depth <= depth, levels[Int(slot.depth) - 1].serial == slot.serial { return close(to: Int(slot.depth)) }
        giveUp()
        // What follows is written somewhere, so that types go on as if nothing were.
        if depth == 0 { _ = open(UInt8(ascii: "["), closer: UInt8(ascii: "]")) }
    }

    /// A key that is there already is for Foundation: it overwrites and merges.
    @inline(__always) private func note(number: Int) {
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: number)
        if levels[depth - 1].numbers & bit != 0 { giveUp() }
        levels[depth - 1].numbers |= bit
    }

    private func note(_ key: Key) {
        let listed = levels[depth - 1].listed
        let known = memory.keys + (depth - 1) * WriterMemory.fewKeys
        for index in 0..<min(listed, WriterMemory.fewKeys)
        where known[index].count == key.count
            && areEqual(base + known[index].start, base + key.start, count: key.count)
        {
            giveUp()
        }
        if listed < WriterMemory.fewKeys {
            known[listed] = key
        } else {
            let hash = UnsafeBufferPointer(start: base + key.start, count: key.count).hash
            if !manyKeys[levels[depth - 1].serial, default: []].insert(hash).inserted { giveUp() }
        }
        levels[depth - 1].listed = listed + 1
    }

    /// The coding path of what is being written: of each level the current key or index.
    var path: [any CodingKey] { path(depth: depth) }

    /// The path of a container that may still be written to.
    func path(of slot: Slot) -> [any CodingKey] { path(depth: min(depth, Int(slot.depth) - 1)) }

    /// The path of the outer levels.
    func path(depth: Int) -> [any CodingKey] {
        (0..<min(depth, self.depth)).compactMap { index in
            let level = levels[index]
            if level.count == 0 { return nil }
            return level.closer == UInt8(ascii: "]") ? IndexKey(Int(level.count) - 1) : NameKey(name(at: index))
        }
    }

    /// The current key of an object, read back from what was written: most documents never ask for it.
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
            if levels[depth].listed > WriterMemory.fewKeys { manyKeys[levels[depth].serial] = nil }
        }
    }

    /// Leaves all of it to Foundation. What this writer writes from here on is of no use.
    func giveUp() { isOutOfOrder = true }

    // MARK: Values

    /// A value that writes itself. What it opens is closed, and what writes nothing becomes `{}`.
    func writeSelf(_ write: (ValueEncoder) throws -> Void) throws {
        guard depth <= maximumDepth else { throw refuseDepth() }
        let level = depth
        let start = count
        try write(ValueEncoder(writer: self))
        close(to: level)
        if count == start { append("{}") }
    }

    /// Remembers that the value cannot be written, whatever becomes of the error.
    func refuse(_ value: Any, _ description: String) -> EncodingError {
        if let refusal { return refusal }
        let error = EncodingError.invalidValue(value, .init(codingPath: path, debugDescription: description))
        refusal = error
        isRefused = true
        return error
    }

    private func refuseDepth() -> EncodingError { refuse(depth, "Nested deeper than \(maximumDepth) levels.") }

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

    /// Room for `extra` bytes, then `fill` with where they go. It returns how many it wrote.
    @inline(__always) func append(atMost extra: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Int) {
        reserve(extra)
        count &+= fill(base.advanced(by: count))
    }

    @inline(__always) private func reserve(_ extra: Int) {
        if memory.byteCapacity &- count < extra { memory.growBytes(by: extra, keeping: count) }
    }
}

/// Compares eight bytes at a time. Keys are too short for a call of the library's.
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
    /// Tells keys apart, eight bytes at a time. Not made to withstand anyone: two keys of one hash cost time alone.
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
            // With its quotes a key has two bytes at least.
            for byte in self { hash = hash << 8 | UInt64(byte) }
            return hash
        }
        for offset in stride(from: 0, to: count - 8, by: 8) { hash = mixed(hash, word(at: offset)) }
        return mixed(hash, word(at: count - 8))
    }
}
