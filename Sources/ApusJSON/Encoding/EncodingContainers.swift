/// What a value writes itself to: one value of any shape.
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

    /// A second value in one place is a mistake of the type that writes it.
    @inline(__always) private func put(_ write: (ByteWriter) throws -> Void) throws {
        guard writer.count == start || writer.isOutOfOrder else {
            throw writer.refuse(0, "A value was written twice in one place.")
        }
        try writer.attempt(write)
    }
}

/// An object that is open.
struct ObjectWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    private let place: ObjectPlace

    init(_ place: ObjectPlace) { self.place = place }

    var codingPath: [any CodingKey] { place.withWriter { $0.path(of: place.slot) } }

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
        return place.withWriter { $0.object(keyedBy: type, isFirst: isFirst) }
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        let isFirst = open(key)
        return place.withWriter { ArrayWriter($0, isFirst) }
    }

    mutating func superEncoder() -> any Encoder { place.withWriter { $0.encoderOutOfOrder() } }
    mutating func superEncoder(forKey key: Key) -> any Encoder { superEncoder() }

    @inline(__always) private func put(_ key: Key, _ write: (ByteWriter) throws -> Void) throws {
        try place.withWriter { writer in
            try writer.next(in: place.slot)
            writer.write(key: key, in: place)
            try writer.attempt(write)
        }
    }

    /// Whether the key could be written.
    private func open(_ key: Key) -> Bool {
        (try? put(key) { _ in }) != nil
    }
}

/// An array that is open.
struct ArrayWriter: UnkeyedEncodingContainer {
    private let writer: ByteWriter
    private let slot: ByteWriter.Slot
    private(set) var count = 0

    /// - Parameter isFirst: As for an object.
    init(_ writer: ByteWriter, _ isFirst: Bool) {
        if !isFirst { writer.giveUp() }
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

    mutating func superEncoder() -> any Encoder { writer.encoderOutOfOrder() }

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
    /// - Parameter isFirst: Whether nothing was written in this place. A second container in one place merges with the
    ///   first, which one pass cannot do.
    fileprivate func object<Key>(keyedBy type: Key.Type, isFirst: Bool) -> KeyedEncodingContainer<Key> {
        if !isFirst { giveUp() }
        let table = keyTable(of: type)
        let slot = open(UInt8(ascii: "{"), closer: UInt8(ascii: "}"))
        if let table { return table.container(for: slot, in: self) }
        return KeyedEncodingContainer(ObjectWriter(ObjectPlace(writer: self, slot: slot, table: nil)))
    }

    /// Writes one value. A type may catch an error and go on without the value, which cannot be unwritten: Foundation is
    /// asked then, also for the error.
    @inline(__always) fileprivate func attempt(_ write: (ByteWriter) throws -> Void) throws {
        do {
            try write(self)
        } catch {
            giveUp()
            throw error
        }
    }

    /// An encoder that is kept and written to at any later time is beyond one pass.
    fileprivate func encoderOutOfOrder() -> any Encoder {
        giveUp()
        return ValueEncoder(writer: self)
    }
}
