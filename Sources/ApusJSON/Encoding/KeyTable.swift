/// A cache of the encoded keys of a key type, and of a reusable container for it. It is kept from one document to the
/// next.
///
/// Keys are mostly cases of an enumeration, identified by one byte, so the text of each is requested only once. A
/// container is a box whose type the runtime looks up whenever one is created, which takes a fifth of the time of an
/// object.
final class KeyTable {
    /// A key with quotes and colon, in a buffer of at least 16 bytes.
    struct Text {
        fileprivate(set) var start: UnsafeMutablePointer<UInt8>?
        fileprivate(set) var count = 0
    }

    /// The identifier of the key type.
    let id: ObjectIdentifier
    /// The texts by the byte that identifies a key. `nil` for key types that are not identified by one byte, have too
    /// many keys, or have texts that need escapes.
    @exclusivity(unchecked) private var texts: UnsafeMutablePointer<Text>?

    private static let maximumKeys = 64
    /// The maximum size of a cached text, in bytes. Longer ones are not worth the memory.
    private static let maximumTextSize = 64

    /// The box that is the only stored property of a `KeyedEncodingContainer`.
    @exclusivity(unchecked) private var box: AnyObject?
    /// The context of the container in the box.
    @exclusivity(unchecked) private var context: ObjectContext?

    init<Key: CodingKey>(of type: Key.Type) {
        id = ObjectIdentifier(type)
        guard MemoryLayout<Key>.size <= 1, _isPOD(type) else { return }
        let texts = UnsafeMutablePointer<Text>.allocate(capacity: Self.maximumKeys)
        texts.initialize(repeating: Text(), count: Self.maximumKeys)
        self.texts = texts
    }

    deinit { removeTexts() }

    private func removeTexts() {
        guard let texts else { return }
        for number in 0..<Self.maximumKeys { texts[number].start?.deallocate() }
        texts.deallocate()
        self.texts = nil
    }

    // MARK: Texts

    /// Returns the byte that identifies a key. Meaningless for types whose keys are not cached.
    @inline(__always) static func number(of key: some CodingKey) -> Int {
        // Safe: only keys of one byte are read, and any value of it is valid.
        MemoryLayout.size(ofValue: key) == 1 ? Int(unsafeBitCast(key, to: UInt8.self)) : 0
    }

    /// Returns the text of a key; empty if it is not cached.
    @inline(__always) func text(_ number: Int) -> Text {
        guard let texts, number < Self.maximumKeys else { return Text() }
        return texts[number]
    }

    /// Caches a key that was written.
    /// - Parameter written: The key with quotes and colon.
    /// - Returns: Whether the key was cached. If not, no key of the type is cached any longer.
    func cache(_ number: Int, written: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let texts else { return false }
        let plain = written.dropFirst().dropLast(2)
        // Whether slashes are escaped depends on the encoder. Duplicates are detected by the keys' bytes, so keys with
        // the same text would go unnoticed.
        guard number < Self.maximumKeys, written.count <= Self.maximumTextSize,
            !plain.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "/") }),
            !(0..<Self.maximumKeys).contains(where: { matches(texts[$0], written) })
        else {
            removeTexts()
            return false
        }
        let start = UnsafeMutablePointer<UInt8>.allocate(capacity: max(16, written.count))
        start.initialize(repeating: 0, count: max(16, written.count))
        _ = UnsafeMutableBufferPointer(start: start, count: written.count).update(from: written)
        texts[number] = Text(start: start, count: written.count)
        return true
    }

    private func matches(_ text: Text, _ written: UnsafeBufferPointer<UInt8>) -> Bool {
        text.start.map { UnsafeBufferPointer(start: $0, count: text.count).elementsEqual(written) } ?? false
    }

    // MARK: Containers

    /// Returns a container for an object that was just opened.
    func container<Key>(for slot: ByteWriter.Slot, in writer: ByteWriter) -> KeyedEncodingContainer<Key> {
        // The box is shared while the type that uses it has not finished, or if the type has kept it.
        if isKnownUniquelyReferenced(&box), let box {
            context?.move(to: slot, of: writer)
            // Safe: the box was created for this type, which has the size of a reference.
            return unsafeBitCast(box, to: KeyedEncodingContainer<Key>.self)
        }
        let context = ObjectContext(writer: writer, slot: slot, table: self)
        let container = KeyedEncodingContainer(ObjectWriter<Key>(context))
        if MemoryLayout<KeyedEncodingContainer<Key>>.size == MemoryLayout<AnyObject>.size {
            self.context = context
            box = unsafeBitCast(container, to: AnyObject.self)
        }
        return container
    }

    /// Releases the writer at the end of a document.
    func endDocument() {
        if isKnownUniquelyReferenced(&box) {
            context?.detach()
        } else {
            box = nil
            context = nil
        }
    }
}

/// The state of the keyed container of an object.
///
/// It is accessed for every key, where reference counting would take longer than writing the key. The references are
/// therefore unmanaged. `retainedWriter`, which is not accessed per key, keeps the writer alive, and the writer keeps
/// the table alive.
final class ObjectContext {
    private var retainedWriter: ByteWriter?
    @exclusivity(unchecked) private var writer: Unmanaged<ByteWriter>
    private let table: Unmanaged<KeyTable>?
    @exclusivity(unchecked) private(set) var slot: ByteWriter.Slot

    init(writer: ByteWriter, slot: ByteWriter.Slot, table: KeyTable?) {
        retainedWriter = writer
        self.writer = .passUnretained(writer)
        self.slot = slot
        self.table = table.map(Unmanaged.passUnretained)
    }

    /// Reuses the container for another object.
    func move(to slot: ByteWriter.Slot, of writer: ByteWriter) {
        self.slot = slot
        if writer === retainedWriter { return }
        retainedWriter = writer
        self.writer = .passUnretained(writer)
    }

    /// Releases the writer. The container must be moved before it is written to again.
    func detach() { retainedWriter = nil }

    @inline(__always) func withWriter<Result>(_ body: (ByteWriter) throws -> Result) rethrows -> Result {
        try writer._withUnsafeGuaranteedRef(body)
    }

    /// Returns the text of a key; empty if it is not cached.
    @inline(__always) func text(_ number: Int) -> KeyTable.Text {
        table?._withUnsafeGuaranteedRef { $0.text(number) } ?? KeyTable.Text()
    }

    /// Caches a key as ``KeyTable/cache(_:written:)`` does; returns `nil` if there is no table.
    func cache(_ number: Int, written: UnsafeBufferPointer<UInt8>) -> Bool? {
        table?._withUnsafeGuaranteedRef { $0.cache(number, written: written) }
    }
}
