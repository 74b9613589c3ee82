import ApusCore
import ApusJSON
import FoundationEssentials

/// Decodes a type from the fields of a form.
///
/// The text of a field is parsed according to its type: numbers, `true`/`false` (and a checkbox's `on`), RFC 3339 dates. An
/// empty field counts as missing if its type is optional and not a string.
struct FormDecoder: Decoder {
    let node: FormFields.Node
    let codingPath: [any CodingKey]
    let userInfo: [CodingUserInfoKey: Any] = [:]

    static func decode<Value: Decodable>(_ type: Value.Type, from fields: FormFields) throws -> Value {
        do {
            return try Value(from: FormDecoder(node: fields.root, codingPath: []))
        } catch let error as DecodingError {
            throw AppError(decoding: error)
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard node.values.isEmpty else {
            throw DecodingError.typeMismatch(
                [String: String].self, .init(codingPath: codingPath, debugDescription: "Expected fields."))
        }
        guard codingPath.isEmpty || node[""] == nil else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath, debugDescription: "must not be a list and have named fields at once"))
        }
        return KeyedDecodingContainer(FormObject(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard node.hasConsistentListNotation else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: codingPath,
                    debugDescription: "must use one list notation: repeated names, [] or indices"))
        }
        return FormList(elements: node.elements, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { FormValue(node: node, codingPath: codingPath) }
}

private struct FormObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let node: FormFields.Node
    let codingPath: [any CodingKey]

    var allKeys: [Key] { node.names.compactMap(Key.init(stringValue:)) }
    func contains(_ key: Key) -> Bool { node[key.stringValue] != nil }
    func decodeNil(forKey key: Key) throws -> Bool { node[key.stringValue]?.isEmptyText ?? true }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        if let child = node[key.stringValue] {
            return try child.decode(type, codingPath + [key])
        }
        // Browsers do not send a list of which no element is selected.
        if let empty = (type as? any FormCollection.Type)?.empty as? Value { return empty }
        throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "No such field."))
    }

    /// Decodes a string, which may be empty.
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? {
        try node[key.stringValue]?.decode(type, codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try inner(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try inner(key).unkeyedContainer()
    }

    func superDecoder() -> any Decoder { FormDecoder(node: node, codingPath: codingPath) }
    func superDecoder(forKey key: Key) -> any Decoder { inner(key) }

    private func inner(_ key: Key) -> FormDecoder {
        FormDecoder(node: node[key.stringValue] ?? .init(), codingPath: codingPath + [key])
    }
}

private struct FormList: UnkeyedDecodingContainer {
    let elements: [FormFields.Node]
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0

    init(elements: [FormFields.Node], codingPath: [any CodingKey]) {
        self.elements = elements
        self.codingPath = codingPath
    }

    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex >= elements.count }

    mutating func decodeNil() -> Bool { false }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let (node, path) = try next()
        return try node.decode(type, path)
    }

    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try inner().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try inner().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try inner() }

    private mutating func inner() throws -> FormDecoder {
        let (node, path) = try next()
        return FormDecoder(node: node, codingPath: path)
    }

    private mutating func next() throws -> (FormFields.Node, [any CodingKey]) {
        let path = codingPath + [FormIndex(intValue: currentIndex)]
        guard currentIndex < elements.count else {
            throw DecodingError.valueNotFound(
                String.self, .init(codingPath: path, debugDescription: "The list has no more elements."))
        }
        defer { currentIndex += 1 }
        return (elements[currentIndex], path)
    }
}

private struct FormIndex: CodingKey {
    let index: Int
    var stringValue: String { "\(index)" }
    var intValue: Int? { index }

    init(intValue: Int) { index = intValue }
    init?(stringValue: String) { nil }
}

private struct FormValue: SingleValueDecodingContainer {
    let node: FormFields.Node
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { node.isEmptyText }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try node.decode(type, codingPath) }
}

extension FormFields.Node {
    fileprivate var isEmptyText: Bool {
        guard !hasChildren, values.count == 1, case .text("") = values[0] else { return false }
        return true
    }

    fileprivate func decode<Value: Decodable>(_ type: Value.Type, _ path: [any CodingKey]) throws -> Value {
        if type == UploadedFile.self, !hasChildren, values.count == 1, case .file(let file) = values[0],
            let file = file as? Value
        {
            return file
        }
        guard let scalar = type as? any FormScalar.Type else {
            return try Value(from: FormDecoder(node: self, codingPath: path))
        }
        guard values.count <= 1 else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: path, debugDescription: "must be given once, not \(values.count) times"))
        }
        guard !hasChildren, case .text(let text)? = values.first else {
            throw DecodingError.typeMismatch(type, .init(codingPath: path, debugDescription: "Expected text."))
        }
        guard let value = scalar.parse(text) as? Value else {
            throw DecodingError.typeMismatch(
                type, .init(codingPath: path, debugDescription: "Expected \(type), found \"\(text.prefix(64))\"."))
        }
        return value
    }
}

/// A type that is parsed from the text of a single field.
private protocol FormScalar {
    static func parse(_ text: String) -> Self?
}

extension FormScalar where Self: LosslessStringConvertible {
    fileprivate static func parse(_ text: String) -> Self? { Self(text) }
}

extension String: FormScalar {}
extension Int: FormScalar {}
extension Int8: FormScalar {}
extension Int16: FormScalar {}
extension Int32: FormScalar {}
extension Int64: FormScalar {}
extension UInt: FormScalar {}
extension UInt8: FormScalar {}
extension UInt16: FormScalar {}
extension UInt32: FormScalar {}
extension UInt64: FormScalar {}

extension Double: FormScalar {
    fileprivate static func parse(_ text: String) -> Double? { DecimalText.number(text) }
}

extension Float: FormScalar {
    fileprivate static func parse(_ text: String) -> Float? { DecimalText.number(text) }
}

extension Bool: FormScalar {
    fileprivate static func parse(_ text: String) -> Bool? {
        switch text {
        case "true", "on", "1": true
        case "false", "off", "0": false
        default: nil
        }
    }
}

extension Date: FormScalar {
    fileprivate static func parse(_ text: String) -> Date? { RFC3339.parse(text) }
}

extension Decimal: FormScalar {
    fileprivate static func parse(_ text: String) -> Decimal? {
        // Foundation ignores trailing characters: it parses `12abc` as 12.
        DecimalText.isValid(text) ? Decimal(string: text) : nil
    }
}

extension URL: FormScalar {
    fileprivate static func parse(_ text: String) -> URL? { URL(string: text) }
}

private protocol FormCollection {
    static var empty: Self { get }
}

extension Array: FormCollection {
    fileprivate static var empty: [Element] { [] }
}

extension Set: FormCollection {
    fileprivate static var empty: Set<Element> { [] }
}
