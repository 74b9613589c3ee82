/// How the keys of a type are written, learnt as they are, and a container of the type that is free: kept from one document
/// to the next.
///
/// Keys are mostly cases of an enumeration, told apart by one byte: each is asked for its text once. And a container is
/// a box whose type the runtime must look up each time that one is made, which is a fifth of the time that an object takes.
final class KeyTable {
    /// A key with quotes and colon, and with room to read 16 bytes.
    struct Text {
        fileprivate(set) var start: UnsafeMutablePointer<UInt8>?
        fileprivate(set) var count = 0
    }

    /// The type.
    let id: ObjectIdentifier
    /// By the byte that tells a key from others; none at all for types of keys that no byte tells apart, that have many, or
    /// whose texts need escapes.
    @exclusivity(unchecked) private var texts: UnsafeMutablePointer<Text>?

    private static let mostKeys = 64
    /// Longer ones are not worth the memory.
    private static let longestText = 64

    /// The box that is all of a `KeyedEncodingContainer`.
    @exclusivity(unchecked) private var box: AnyObject?
    /// Where the container of the box writes.
    @exclusivity(unchecked) private var place: ObjectPlace?

    init<Key: CodingKey>(of type: Key.Type) {
        id = ObjectIdentifier(type)
        guard MemoryLayout<Key>.size <= 1, _isPOD(type) else { return }
        let texts = UnsafeMutablePointer<Text>.allocate(capacity: Self.mostKeys)
        texts.initialize(repeating: Text(), count: Self.mostKeys)
        self.texts = texts
    }

    deinit { forget() }

    private func forget() {
        guard let texts else { return }
        for number in 0..<Self.mostKeys { texts[number].start?.deallocate() }
        texts.deallocate()
        self.texts = nil
    }

    // MARK: Texts

    /// The byte that tells a key from others. Of a type that has no table it means nothing.
    @inline(__always) static func number(of key: some CodingKey) -> Int {
        // Safe: of types of one byte alone it is read, and any byte will do.
        MemoryLayout.size(ofValue: key) == 1 ? Int(unsafeBitCast(key, to: UInt8.self)) : 0
    }

    /// The text of a key, empty when it is not known.
    @inline(__always) func text(_ number: Int) -> Text {
        guard let texts, number < Self.mostKeys else { return Text() }
        return texts[number]
    }

    /// Remembers a key that was written.
    /// - Parameter written: With quotes and colon.
    /// - Returns: Whether it is remembered. If not, no key of the type is any more.
    func learn(_ number: Int, written: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let texts else { return false }
        let plain = written.dropFirst().dropLast(2)
        // An encoder may or may not escape slashes, and two keys of one text could not be told apart by their bytes.
        guard number < Self.mostKeys, written.count <= Self.longestText,
            !plain.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "/") }),
            !(0..<Self.mostKeys).contains(where: { isText(texts[$0], written) })
        else {
            forget()
            return false
        }
        let start = UnsafeMutablePointer<UInt8>.allocate(capacity: max(16, written.count))
        start.initialize(repeating: 0, count: max(16, written.count))
        _ = UnsafeMutableBufferPointer(start: start, count: written.count).update(from: written)
        texts[number] = Text(start: start, count: written.count)
        return true
    }

    private func isText(_ text: Text, _ written: UnsafeBufferPointer<UInt8>) -> Bool {
        text.start.map { UnsafeBufferPointer(start: $0, count: text.count).elementsEqual(written) } ?? false
    }

    // MARK: Containers

    /// A container for an object that was just opened.
    func container<Key>(for slot: ByteWriter.Slot, in writer: ByteWriter) -> KeyedEncodingContainer<Key> {
        // Others have it when the type that was given it is not done, or has kept it.
        if isKnownUniquelyReferenced(&box), let box {
            place?.move(to: slot, of: writer)
            // Safe: it was made for this type, and has the size of a reference.
            return unsafeBitCast(box, to: KeyedEncodingContainer<Key>.self)
        }
        let place = ObjectPlace(writer: writer, slot: slot, table: self)
        let container = KeyedEncodingContainer(ObjectWriter<Key>(place))
        if MemoryLayout<KeyedEncodingContainer<Key>>.size == MemoryLayout<AnyObject>.size {
            self.place = place
            box = unsafeBitCast(container, to: AnyObject.self)
        }
        return container
    }

    /// A document is done, and its writer goes.
    func endDocument() {
        if isKnownUniquelyReferenced(&box) {
            place?.letGo()
        } else {
            box = nil
            place = nil
        }
    }
}

/// Where an object is being written.
///
/// It is looked at for every key, and to count references there would take longer than to write the key. The writer is kept
/// by a property that nobody looks at, and the table by the writer.
final class ObjectPlace {
    private var keptWriter: ByteWriter?
    @exclusivity(unchecked) private var writer: Unmanaged<ByteWriter>
    private let table: Unmanaged<KeyTable>?
    @exclusivity(unchecked) private(set) var slot: ByteWriter.Slot

    init(writer: ByteWriter, slot: ByteWriter.Slot, table: KeyTable?) {
        keptWriter = writer
        self.writer = .passUnretained(writer)
        self.slot = slot
        self.table = table.map(Unmanaged.passUnretained)
    }

    /// The container goes to another object.
    func move(to slot: ByteWriter.Slot, of writer: ByteWriter) {
        self.slot = slot
        if writer === keptWriter { return }
        keptWriter = writer
        self.writer = .passUnretained(writer)
    }

    /// Nobody writes here until it is moved.
    func letGo() { keptWriter = nil }

    @inline(__always) func withWriter<Result>(_ body: (ByteWriter) throws -> Result) rethrows -> Result {
        try writer._withUnsafeGuaranteedRef(body)
    }

    /// The text of a key, empty when it is not known.
    @inline(__always) func text(_ number: Int) -> KeyTable.Text {
        table?._withUnsafeGuaranteedRef { $0.text(number) } ?? KeyTable.Text()
    }

    /// As ``KeyTable/learn(_:written:)``; `nil` where there is no table.
    func learn(_ number: Int, written: UnsafeBufferPointer<UInt8>) -> Bool? {
        table?._withUnsafeGuaranteedRef { $0.learn(number, written: written) }
    }
}
