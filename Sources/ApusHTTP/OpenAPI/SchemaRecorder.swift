import ApusCore
import ApusJSON

/// A decoder without input: it returns empty values and records the keys and types that a type decodes.
final class SchemaRecorder: Decoder {
    private enum Shape {
        case unknown
        case object(properties: [JSON.Value.Member], required: [String])
        case array(JSON.Value)
        case single(JSON.Value)
    }

    let registry: SchemaRegistry
    let codingPath: [any CodingKey]
    let userInfo: [CodingUserInfoKey: Any] = [:]
    /// The keys whose presence the type has checked.
    fileprivate var optionalKeys: Set<String> = []
    /// The keys that the type has checked for null.
    fileprivate var nullableKeys: Set<String> = []
    private let onUpdate: ((JSON.Value) -> Void)?
    private var shape = Shape.unknown {
        didSet { if let onUpdate, let schema { onUpdate(schema) } }
    }

    /// Creates a recorder.
    /// - Parameter onUpdate: A closure that is called with the schema whenever it changes.
    init(
        registry: SchemaRegistry, codingPath: [any CodingKey] = [], onUpdate: ((JSON.Value) -> Void)? = nil
    ) {
        self.registry = registry
        self.codingPath = codingPath
        self.onUpdate = onUpdate
    }

    var isSingleValue: Bool { if case .single = shape { true } else { false } }

    /// The recorded schema; `nil` if nothing was decoded.
    var schema: JSON.Value? {
        switch shape {
        case .unknown: return nil
        case .single(let schema): return schema
        case .array(let items): return ["type": "array", "items": items]
        case .object(let properties, let required):
            var schema: JSON.Value = ["type": "object", "properties": .object(properties)]
            if !required.isEmpty { schema["required"] = .array(required.map { .string($0) }) }
            return schema
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        becomeObject()
        return KeyedDecodingContainer(Keyed(recorder: self))
    }

    func unkeyedContainer() -> any UnkeyedDecodingContainer {
        if case .array = shape {} else { shape = .array(.object([])) }
        return Unkeyed(recorder: self)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { Single(recorder: self) }

    private func becomeObject() { if case .object = shape {} else { shape = .object(properties: [], required: []) } }

    fileprivate func record(_ name: String, _ schema: JSON.Value, isRequired: Bool) {
        becomeObject()
        guard case .object(var properties, var required) = shape else { return }
        if let index = properties.firstIndex(where: { $0.name.isExactly(name) }) {
            properties[index].value = schema
        } else {
            properties.append(.init(name, schema))
        }
        if isRequired, !required.containsExactly(name) { required.append(name) }
        shape = .object(properties: properties, required: required)
    }

    fileprivate func recordElement(_ schema: JSON.Value) { shape = .array(schema) }

    fileprivate func recordSingleValue(_ schema: JSON.Value) { shape = .single(schema) }
}

private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let recorder: SchemaRecorder
    var codingPath: [any CodingKey] { recorder.codingPath }
    let allKeys: [Key] = []

    func contains(_ key: Key) -> Bool {
        recorder.optionalKeys.insert(key.stringValue)
        return true
    }

    func decodeNil(forKey key: Key) -> Bool {
        recorder.nullableKeys.insert(key.stringValue)
        return false
    }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        let schema = recorder.registry.schema(of: type)
        let name = key.stringValue
        recorder.record(
            name, recorder.nullableKeys.contains(name) ? schema.orNull : schema,
            isRequired: !recorder.optionalKeys.contains(name) && !(type is any OptionalType.Type))
        return try recorder.registry.example(of: type)
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        recorder.record(key.stringValue, recorder.registry.schema(of: type).orNull, isRequired: false)
        return nil
    }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedDecodingContainer<
        Nested
    > {
        inner(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedDecodingContainer { inner(key).unkeyedContainer() }
    func superDecoder() -> any Decoder { inner("super") }
    func superDecoder(forKey key: Key) -> any Decoder { inner(key) }

    private func inner(_ key: Key) -> SchemaRecorder { inner(key.stringValue, codingPath + [key]) }

    private func inner(_ name: String, _ path: [any CodingKey]? = nil) -> SchemaRecorder {
        SchemaRecorder(registry: recorder.registry, codingPath: path ?? codingPath) { [recorder] in
            recorder.record(name, $0, isRequired: true)
        }
    }
}

private struct Unkeyed: UnkeyedDecodingContainer {
    let recorder: SchemaRecorder
    var codingPath: [any CodingKey] { recorder.codingPath }
    let count: Int? = nil
    /// Ends the list after one element, so that a loop over all elements decodes one.
    var isAtEnd: Bool { currentIndex > 0 }
    private(set) var currentIndex = 0

    init(recorder: SchemaRecorder) { self.recorder = recorder }

    mutating func decodeNil() -> Bool { false }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        currentIndex += 1
        recorder.recordElement(recorder.registry.schema(of: type))
        return try recorder.registry.example(of: type)
    }

    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        inner().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedDecodingContainer { inner().unkeyedContainer() }
    mutating func superDecoder() -> any Decoder { inner() }

    private mutating func inner() -> SchemaRecorder {
        currentIndex += 1
        return SchemaRecorder(registry: recorder.registry, codingPath: codingPath) { [recorder] in
            recorder.recordElement($0)
        }
    }
}

private struct Single: SingleValueDecodingContainer {
    let recorder: SchemaRecorder
    var codingPath: [any CodingKey] { recorder.codingPath }

    func decodeNil() -> Bool { false }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        recorder.recordSingleValue(recorder.registry.schema(of: type))
        return try recorder.registry.example(of: type)
    }
}

private protocol OptionalType {}
extension Optional: OptionalType {}
