/// The encoder of one value, passed to `encode(to:)`.
struct ValueEncoder: Encoder {
    let writer: ByteWriter
    private let start: Int
    private let depth: UInt32

    init(writer: ByteWriter) {
        self.writer = writer
        start = writer.count
        depth = UInt32(truncatingIfNeeded: writer.depth)
    }

    var codingPath: [any CodingKey] { writer.path(depth: Int(depth)) }
    var userInfo: [CodingUserInfoKey: Any] { writer.options.userInfo }

    func container<Key>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        writer.object(keyedBy: type, isFirst: writer.count == start)
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer { ArrayWriter(writer, writer.count == start) }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension ValueEncoder: SingleValueEncodingContainer {
    func encodeNil() throws { try put { $0.writeNull() } }
    func encode(_ value: Bool) throws { try put { $0.write(value) } }
    func encode(_ value: String) throws { try put { $0.write(value) } }
    func encode(_ value: Double) throws { try put { try $0.write(value) } }
    func encode(_ value: Float) throws { try put { try $0.write(value) } }
    func encode(_ value: Int) throws { try put { $0.write(integer: value) } }
    func encode(_ value: Int8) throws { try put { $0.write(integer: value) } }
    func encode(_ value: Int16) throws { try put { $0.write(integer: value) } }
    func encode(_ value: Int32) throws { try put { $0.write(integer: value) } }
    func encode(_ value: Int64) throws { try put { $0.write(integer: value) } }
    func encode(_ value: Int128) throws { try put { $0.write(integer: value) } }
    func encode(_ value: UInt) throws { try put { $0.write(integer: value) } }
    func encode(_ value: UInt8) throws { try put { $0.write(integer: value) } }
    func encode(_ value: UInt16) throws { try put { $0.write(integer: value) } }
    func encode(_ value: UInt32) throws { try put { $0.write(integer: value) } }
    func encode(_ value: UInt64) throws { try put { $0.write(integer: value) } }
    func encode(_ value: UInt128) throws { try put { $0.write(integer: value) } }
    func encode(_ value: some Encodable) throws { try put { try $0.write(value: value) } }

    /// Writes the value. Encoding more than one here is an error in the type.
    @inline(__always) private func put(_ write: (ByteWriter) throws -> Void) throws {
        guard writer.count == start || writer.needsFoundation else {
            throw writer.fail(0, "A value has already been encoded here.")
        }
        try writer.attempt(write)
    }
}

/// The keyed container of an open object.
struct ObjectWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    private let context: ObjectContext

    init(_ context: ObjectContext) { self.context = context }

    var codingPath: [any CodingKey] { context.withWriter { $0.path(of: context.slot) } }

    mutating func encodeNil(forKey key: Key) throws { try put(key) { $0.writeNull() } }
    mutating func encode(_ value: Bool, forKey key: Key) throws { try put(key) { $0.write(value) } }
    mutating func encode(_ value: String, forKey key: Key) throws { try put(key) { $0.write(value) } }
    mutating func encode(_ value: Double, forKey key: Key) throws { try put(key) { try $0.write(value) } }
    mutating func encode(_ value: Float, forKey key: Key) throws { try put(key) { try $0.write(value) } }
    mutating func encode(_ value: Int, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: Int8, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: Int16, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: Int32, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: Int64, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: Int128, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: UInt, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: UInt8, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: UInt16, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: UInt32, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: UInt64, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: UInt128, forKey key: Key) throws { try put(key) { $0.write(integer: value) } }
    mutating func encode(_ value: some Encodable, forKey key: Key) throws {
        try put(key) { try $0.write(value: value) }
    }

    mutating func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        let isFirst = open(key)
        return context.withWriter { $0.object(keyedBy: type, isFirst: isFirst) }
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        let isFirst = open(key)
        return context.withWriter { ArrayWriter($0, isFirst) }
    }

    mutating func superEncoder() -> any Encoder { context.withWriter { $0.deferredEncoder() } }
    mutating func superEncoder(forKey key: Key) -> any Encoder { superEncoder() }

    @inline(__always) private func put(_ key: Key, _ write: (ByteWriter) throws -> Void) throws {
        try context.withWriter { writer in
            try writer.next(in: context.slot)
            writer.write(key: key, in: context)
            try writer.attempt(write)
        }
    }

    /// Writes a key for a nested container and returns whether that succeeded.
    private func open(_ key: Key) -> Bool {
        (try? put(key) { _ in }) != nil
    }
}

/// The unkeyed container of an open array.
struct ArrayWriter: UnkeyedEncodingContainer {
    private let writer: ByteWriter
    private let slot: ByteWriter.Slot
    private(set) var count = 0

    /// - Parameter isFirst: As for ``ByteWriter/object(keyedBy:isFirst:)``.
    init(_ writer: ByteWriter, _ isFirst: Bool) {
        if !isFirst { writer.fallBack() }
        self.writer = writer
        slot = writer.open(UInt8(ascii: "["), closer: UInt8(ascii: "]"))
    }

    var codingPath: [any CodingKey] { writer.path(of: slot) }

    mutating func encodeNil() throws { try put { $0.writeNull() } }
    mutating func encode(_ value: Bool) throws { try put { $0.write(value) } }
    mutating func encode(_ value: String) throws { try put { $0.write(value) } }
    mutating func encode(_ value: Double) throws { try put { try $0.write(value) } }
    mutating func encode(_ value: Float) throws { try put { try $0.write(value) } }
    mutating func encode(_ value: Int) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: Int8) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: Int16) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: Int32) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: Int64) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: Int128) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: UInt) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: UInt8) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: UInt16) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: UInt32) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: UInt64) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: UInt128) throws { try put { $0.write(integer: value) } }
    mutating func encode(_ value: some Encodable) throws {
        try put { try $0.write(value: value) }
    }

    mutating func nestedContainer<Nested>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        let isFirst = open()
        return writer.object(keyedBy: type, isFirst: isFirst)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { ArrayWriter(writer, open()) }

    mutating func superEncoder() -> any Encoder { writer.deferredEncoder() }

    @inline(__always) private mutating func put(_ write: (ByteWriter) throws -> Void) throws {
        try writer.next(in: slot)
        count += 1
        try writer.attempt(write)
    }

    private mutating func open() -> Bool {
        (try? put { _ in }) != nil
    }
}

extension ByteWriter {
    /// Opens an object.
    /// - Parameter isFirst: Whether nothing has been written here. A second container would have to be merged with the
    ///   first, which a single pass cannot do.
    fileprivate func object<Key>(keyedBy type: Key.Type, isFirst: Bool) -> KeyedEncodingContainer<Key> {
        if !isFirst { fallBack() }
        let table = keyTable(of: type)
        let slot = open(UInt8(ascii: "{"), closer: UInt8(ascii: "}"))
        if let table { return table.container(for: slot, in: self) }
        return KeyedEncodingContainer(ObjectWriter(ObjectContext(writer: self, slot: slot, table: nil)))
    }

    /// Writes one value. After an error, falls back to Foundation, also for the final error: a type may catch the error
    /// and continue without the value, but what was written cannot be undone.
    @inline(__always) fileprivate func attempt(_ write: (ByteWriter) throws -> Void) throws {
        do {
            try write(self)
        } catch {
            fallBack()
            throw error
        }
    }

    /// Returns an encoder that may be kept and written to at any later time, which a single pass does not support.
    fileprivate func deferredEncoder() -> any Encoder {
        fallBack()
        return ValueEncoder(writer: self)
    }
}
