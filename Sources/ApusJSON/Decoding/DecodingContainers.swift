import ApusCore
import FoundationEssentials

/// The decoder of one value, passed to `init(from:)`.
struct ValueDecoder: Decoder {
    let document: Document
    let index: Int

    var codingPath: [any CodingKey] { document.path(to: index) }
    var userInfo: [CodingUserInfoKey: Any] { document.options.userInfo }

    func container<Key>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(try ObjectReader<Key>(document, index))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try ArrayReader(document, index) }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }
}

extension ValueDecoder: SingleValueDecodingContainer {
    func decodeNil() -> Bool { document.isNull(at: index) }
    func decode(_ type: Bool.Type) throws -> Bool { try document.bool(at: index) }
    func decode(_ type: String.Type) throws -> String { try document.string(at: index) }
    func decode(_ type: Double.Type) throws -> Double { try document.double(at: index) }
    func decode(_ type: Float.Type) throws -> Float { try document.float(at: index) }
    func decode(_ type: Int.Type) throws -> Int { try document.integer(type, at: index) }
    func decode(_ type: Int8.Type) throws -> Int8 { try document.integer(type, at: index) }
    func decode(_ type: Int16.Type) throws -> Int16 { try document.integer(type, at: index) }
    func decode(_ type: Int32.Type) throws -> Int32 { try document.integer(type, at: index) }
    func decode(_ type: Int64.Type) throws -> Int64 { try document.integer(type, at: index) }
    func decode(_ type: Int128.Type) throws -> Int128 { try document.integer(type, at: index) }
    func decode(_ type: UInt.Type) throws -> UInt { try document.integer(type, at: index) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try document.integer(type, at: index) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try document.integer(type, at: index) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try document.integer(type, at: index) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try document.integer(type, at: index) }
    func decode(_ type: UInt128.Type) throws -> UInt128 { try document.integer(type, at: index) }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try document.decode(type, at: index) }
}

/// A keyed container that reads an object.
struct ObjectReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    private let document: Document
    private let object: Int
    /// The node index of each value by name; `nil` for objects whose keys are looked up by linear search.
    private let index: [ExactString: Int]?

    init(_ document: Document, _ object: Int) throws {
        guard document.nodes[object].kind == .object else { throw document.mismatch([String: Any].self, at: object) }
        self.document = document
        self.object = object
        let hasIndex = document.nodes[object].needsIndex || document.convertsKeys
        index = hasIndex ? document.index(ofObject: object) : nil
    }

    var codingPath: [any CodingKey] { document.path(to: object) }

    var allKeys: [Key] {
        let names =
            if let index {
                index.sorted { $0.value < $1.value }.map(\.key.text)
            } else {
                document.keys(ofObject: object).map(document.text)
            }
        return document.checkDictionaryKeys(names, of: object, Key.self).compactMap(Key.init(stringValue:))
    }

    func contains(_ key: Key) -> Bool { find(key) != nil }

    func decodeNil(forKey key: Key) throws -> Bool { document.isNull(at: try at(key)) }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try document.bool(at: at(key)) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try document.string(at: at(key)) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try document.double(at: at(key)) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try document.float(at: at(key)) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try document.integer(type, at: at(key)) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try document.integer(type, at: at(key)) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try document.integer(type, at: at(key)) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try document.integer(type, at: at(key)) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try document.integer(type, at: at(key)) }
    func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try document.integer(type, at: at(key)) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try document.integer(type, at: at(key)) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try document.integer(type, at: at(key)) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try document.integer(type, at: at(key)) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try document.integer(type, at: at(key)) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try document.integer(type, at: at(key)) }
    func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 { try document.integer(type, at: at(key)) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try document.decode(type, at: at(key))
    }

    // One key lookup per optional property; the default implementation makes three.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try value(key).map(document.bool) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try value(key).map(document.string) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try value(key).map(document.double) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? {
        try value(key).map { try document.integer(type, at: $0) }
    }
    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        try value(key).map { try document.decode(type, at: $0) }
    }

    func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        KeyedDecodingContainer(try ObjectReader<Nested>(document, at(key)))
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try ArrayReader(document, at(key))
    }

    func superDecoder() -> any Decoder { decoder(at: find("super")) }

    func superDecoder(forKey key: Key) -> any Decoder { decoder(at: find(key)) }

    private func decoder(at value: Int?) -> any Decoder {
        ValueDecoder(document: document, index: value ?? document.missingIndex)
    }

    @inline(__always) private func find(_ key: Key) -> Int? { find(key.stringValue) }

    @inline(__always) private func find(_ name: String) -> Int? {
        if let index { return index[ExactString(name)] }
        return document.value(of: name, inObject: object)
    }

    /// Returns the node index of the value for a key.
    @inline(__always) private func at(_ key: Key) throws -> Int {
        if let value = find(key) { return value }
        throw DecodingError.keyNotFound(key, document.context(object, "The object has no key \"\(key.stringValue)\"."))
    }

    /// Returns the node index of a value that is present and not null.
    @inline(__always) private func value(_ key: Key) -> Int? {
        find(key).flatMap { document.isNull(at: $0) ? nil : $0 }
    }
}

/// An unkeyed container that reads an array element by element.
struct ArrayReader: UnkeyedDecodingContainer {
    private let document: Document
    // 32 bits wide so that the reader fits in an existential's inline buffer, without an allocation.
    private let array: UInt32
    private var next: UInt32
    private var position: UInt32 = 0

    init(_ document: Document, _ array: Int) throws {
        guard document.nodes[array].kind == .array else { throw document.mismatch([Any].self, at: array) }
        self.document = document
        self.array = UInt32(array)
        next = UInt32(array) + 1
    }

    var codingPath: [any CodingKey] { document.path(to: Int(array)) }
    var count: Int? { Int(document.nodes[Int(array)].count) }
    var isAtEnd: Bool { position == document.nodes[Int(array)].count }
    var currentIndex: Int { Int(position) }

    mutating func decodeNil() throws -> Bool {
        guard document.isNull(at: try current(Never.self)) else { return false }
        advance()
        return true
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try take(type) { try $0.bool(at: $1) } }
    mutating func decode(_ type: String.Type) throws -> String { try take(type) { try $0.string(at: $1) } }
    mutating func decode(_ type: Double.Type) throws -> Double { try take(type) { try $0.double(at: $1) } }
    mutating func decode(_ type: Float.Type) throws -> Float { try take(type) { try $0.float(at: $1) } }
    mutating func decode(_ type: Int.Type) throws -> Int { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: Int128.Type) throws -> Int128 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try take(type) { try $0.integer(type, at: $1) } }
    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try take(type) { try $0.decode(type, at: $1) }
    }

    mutating func nestedContainer<Nested>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
        KeyedDecodingContainer(try take([String: Any].self) { try ObjectReader<Nested>($0, $1) })
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try take([Any].self) { try ArrayReader($0, $1) }
    }

    mutating func superDecoder() throws -> any Decoder {
        try take((any Decoder).self) { ValueDecoder(document: $0, index: $1) }
    }

    /// Decodes the current element and, on success, advances to the next one.
    @inline(__always) private mutating func take<Value>(
        _ type: Any.Type, _ decode: (Document, Int) throws -> Value
    ) throws -> Value {
        let value = try decode(document, current(type))
        advance()
        return value
    }

    @inline(__always) private func current(_ type: Any.Type) throws -> Int {
        if !isAtEnd { return Int(next) }
        throw DecodingError.valueNotFound(
            type,
            .init(
                codingPath: codingPath + [IndexKey(currentIndex)],
                debugDescription: "The array has only \(currentIndex) elements."))
    }

    @inline(__always) private mutating func advance() {
        next = UInt32(truncatingIfNeeded: document.nodes.after(Int(next)))
        position &+= 1
    }
}

extension Document {
    /// Returns the node index of each value of an object by name, after key conversion. If names are equal, the first
    /// value is used.
    fileprivate func index(ofObject object: Int) -> [ExactString: Int] {
        let keys = keys(ofObject: object)
        var index: [ExactString: Int] = [:]
        index.reserveCapacity(keys.count)
        let container: [any CodingKey] =
            if case .custom = options.keyDecodingStrategy { path(to: object) } else { [] }
        for key in keys {
            let name = ExactString(name(text(at: key), in: container))
            if index[name] == nil { index[name] = key + 1 }
        }
        return index
    }

    private func name(_ key: String, in container: [any CodingKey]) -> String {
        switch options.keyDecodingStrategy {
        case .useDefaultKeys: key
        case .convertFromSnakeCase: key.camelCasedFromSnake
        case .custom(let convert): convert(container + [NameKey(key)]).stringValue
        @unknown default: key
        }
    }
}
