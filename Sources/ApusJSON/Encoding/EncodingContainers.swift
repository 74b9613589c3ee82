/// What a value writes itself to: one value of any shape.
struct ValueEncoder: Encoder {
    let writer: ByteWriter
    private let start: Int

    init(writer: ByteWriter) {
        self.writer = writer
        start = writer.count
    }

    var codingPath: [any CodingKey] { writer.path }
    var userInfo: [CodingUserInfoKey: Any] { writer.options.userInfo }

    func container<Key>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(ObjectWriter(writer, writer.count == start))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer { ArrayWriter(writer, writer.count == start) }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension ValueEncoder: SingleValueEncodingContainer {
    func encodeNil() throws { try once().writeNull() }
    func encode(_ value: Bool) throws { try once().write(value) }
    func encode(_ value: String) throws { try once().write(value) }
    func encode(_ value: Double) throws { try once().write(value) }
    func encode(_ value: Float) throws { try once().write(value) }
    func encode(_ value: Int) throws { try once().write(integer: value) }
    func encode(_ value: Int8) throws { try once().write(integer: value) }
    func encode(_ value: Int16) throws { try once().write(integer: value) }
    func encode(_ value: Int32) throws { try once().write(integer: value) }
    func encode(_ value: Int64) throws { try once().write(integer: value) }
    func encode(_ value: Int128) throws { try once().write(integer: value) }
    func encode(_ value: UInt) throws { try once().write(integer: value) }
    func encode(_ value: UInt8) throws { try once().write(integer: value) }
    func encode(_ value: UInt16) throws { try once().write(integer: value) }
    func encode(_ value: UInt32) throws { try once().write(integer: value) }
    func encode(_ value: UInt64) throws { try once().write(integer: value) }
    func encode(_ value: UInt128) throws { try once().write(integer: value) }
    func encode(_ value: some Encodable) throws { try once().write(value: value) }

    /// A second value in one place is a mistake of the type that writes it.
    @inline(__always) private func once() throws -> ByteWriter {
        guard writer.count == start else {
            throw EncodingError.invalidValue(
                0, .init(codingPath: writer.path, debugDescription: "A value was written twice in one place."))
        }
        return writer
    }
}

/// An object that is open.
struct ObjectWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    private let writer: ByteWriter
    private let slot: ByteWriter.Slot

    /// - Parameter isFirst: Whether nothing was written in this place. A second container in one place merges with the
    ///   first, which one pass cannot do.
    init(_ writer: ByteWriter, _ isFirst: Bool) {
        if !isFirst { _ = writer.giveUp() }
        self.writer = writer
        slot = writer.open(UInt8(ascii: "{"), closer: UInt8(ascii: "}"))
    }

    var codingPath: [any CodingKey] { writer.path(of: slot) }

    mutating func encodeNil(forKey key: Key) throws { try at(key).writeNull() }
    mutating func encode(_ value: Bool, forKey key: Key) throws { try at(key).write(value) }
    mutating func encode(_ value: String, forKey key: Key) throws { try at(key).write(value) }
    mutating func encode(_ value: Double, forKey key: Key) throws { try at(key).write(value, under: key) }
    mutating func encode(_ value: Float, forKey key: Key) throws { try at(key).write(value, under: key) }
    mutating func encode(_ value: Int, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: Int8, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: Int16, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: Int32, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: Int64, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: Int128, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: UInt, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: UInt8, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: UInt16, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: UInt32, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: UInt64, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: UInt128, forKey key: Key) throws { try at(key).write(integer: value) }
    mutating func encode(_ value: some Encodable, forKey key: Key) throws { try at(key).write(value, at: key) }

    mutating func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        KeyedEncodingContainer(ObjectWriter<Nested>(writer, open(key)))
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        ArrayWriter(writer, open(key))
    }

    mutating func superEncoder() -> any Encoder { writer.encoderOutOfOrder() }
    mutating func superEncoder(forKey key: Key) -> any Encoder { writer.encoderOutOfOrder() }

    @inline(__always) private func at(_ key: Key) throws -> ByteWriter {
        try writer.next(in: slot)
        writer.write(writer.options.keyEncodingStrategy.convertsKeys ? writer.converted(key) : key.stringValue)
        writer.append(UInt8(ascii: ":"))
        return writer
    }

    /// Whether the key could be written.
    private func open(_ key: Key) -> Bool {
        guard (try? at(key)) != nil else { return false }
        writer.path.append(key)
        return true
    }
}

/// An array that is open.
struct ArrayWriter: UnkeyedEncodingContainer {
    private let writer: ByteWriter
    private let slot: ByteWriter.Slot
    private(set) var count = 0

    /// - Parameter isFirst: As for ``ObjectWriter``.
    init(_ writer: ByteWriter, _ isFirst: Bool) {
        if !isFirst { _ = writer.giveUp() }
        self.writer = writer
        slot = writer.open(UInt8(ascii: "["), closer: UInt8(ascii: "]"))
    }

    var codingPath: [any CodingKey] { writer.path(of: slot) }

    mutating func encodeNil() throws { try next().writeNull() }
    mutating func encode(_ value: Bool) throws { try next().write(value) }
    mutating func encode(_ value: String) throws { try next().write(value) }
    mutating func encode(_ value: Double) throws { try next().write(value, under: IndexKey(count - 1)) }
    mutating func encode(_ value: Float) throws { try next().write(value, under: IndexKey(count - 1)) }
    mutating func encode(_ value: Int) throws { try next().write(integer: value) }
    mutating func encode(_ value: Int8) throws { try next().write(integer: value) }
    mutating func encode(_ value: Int16) throws { try next().write(integer: value) }
    mutating func encode(_ value: Int32) throws { try next().write(integer: value) }
    mutating func encode(_ value: Int64) throws { try next().write(integer: value) }
    mutating func encode(_ value: Int128) throws { try next().write(integer: value) }
    mutating func encode(_ value: UInt) throws { try next().write(integer: value) }
    mutating func encode(_ value: UInt8) throws { try next().write(integer: value) }
    mutating func encode(_ value: UInt16) throws { try next().write(integer: value) }
    mutating func encode(_ value: UInt32) throws { try next().write(integer: value) }
    mutating func encode(_ value: UInt64) throws { try next().write(integer: value) }
    mutating func encode(_ value: UInt128) throws { try next().write(integer: value) }
    mutating func encode(_ value: some Encodable) throws { try next().write(value, at: IndexKey(count - 1)) }

    mutating func nestedContainer<Nested>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        KeyedEncodingContainer(ObjectWriter<Nested>(writer, open()))
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { ArrayWriter(writer, open()) }

    mutating func superEncoder() -> any Encoder { writer.encoderOutOfOrder() }

    @inline(__always) private mutating func next() throws -> ByteWriter {
        try writer.next(in: slot)
        count += 1
        return writer
    }

    private mutating func open() -> Bool {
        guard (try? next()) != nil else { return false }
        writer.path.append(IndexKey(count - 1))
        return true
    }
}

extension ByteWriter {
    /// An encoder that is kept and written to at any later time is beyond one pass.
    fileprivate func encoderOutOfOrder() -> any Encoder {
        _ = giveUp()
        return ValueEncoder(writer: self)
    }

    /// A number that, when JSON has none like it, is refused under its key.
    @inline(__always) fileprivate func write(_ number: Double, under key: @autoclosure () -> any CodingKey) throws {
        number.isFinite ? try write(number) : try write(number, at: key())
    }

    @inline(__always) fileprivate func write(_ number: Float, under key: @autoclosure () -> any CodingKey) throws {
        number.isFinite ? try write(number) : try write(number, at: key())
    }
}
