import ApusCore
import ApusJSON
import FoundationEssentials
import SwiftProtobuf

/// The fields of messages, read from descriptor files, for mapping path and query parameters to fields.
struct MessageShapes: Sendable {
    struct Field: Sendable {
        let name: String
        let jsonName: String
        let kind: Kind
        let isRepeated: Bool
    }

    enum Kind: Sendable, Equatable {
        case bool, integer, longInteger, number, string, bytes
        case enumeration(String)
        case message(String)
    }

    /// The fields of messages, keyed by the message's full name.
    private(set) var messages: [String: [Field]] = [:]
    /// The value names of enums, keyed by the enum's full name.
    private(set) var enumerations: [String: [String]] = [:]
    /// The full names of map entry messages.
    private(set) var mapEntries: Set<String> = []

    /// - Parameter files: `google.protobuf.FileDescriptorProto` messages in base64. Files that cannot be decoded are skipped.
    init(files: [String]) {
        for text in files {
            guard let bytes = Data(base64Encoded: text),
                let file = try? Google_Protobuf_FileDescriptorProto(serializedBytes: bytes)
            else { continue }
            let prefix = file.package.isEmpty ? "" : file.package + "."
            for message in file.messageType { add(message, prefix) }
            for type in file.enumType { enumerations[prefix + type.name] = type.value.map(\.name) }
        }
    }

    private mutating func add(_ message: Google_Protobuf_DescriptorProto, _ prefix: String) {
        let name = prefix + message.name
        messages[name] = message.field.map(Field.init)
        if message.options.mapEntry { mapEntries.insert(name) }
        for nested in message.nestedType { add(nested, name + ".") }
        for type in message.enumType { enumerations[name + "." + type.name] = type.value.map(\.name) }
    }

    /// Returns a field by its proto or JSON name.
    func field(_ name: some StringProtocol, of message: String) -> Field? {
        messages[message]?.first { $0.name == name || $0.jsonName == name }
    }

    /// Returns the value field of a map field, or `nil` if the field is not a map.
    func mapValues(of field: Field) -> Field? {
        guard case .message(let name) = field.kind, mapEntries.contains(name) else { return nil }
        return self.field("value", of: name)
    }

    /// The maximum depth of field paths. SwiftProtobuf decodes messages up to a depth of 100.
    private static let maximumDepth = 32

    /// Returns the fields along a path such as `shop.id`, or `nil` if there is no such field.
    func fields(at path: some StringProtocol, of message: String) -> [Field]? {
        var fields: [Field] = []
        var message: String? = message
        for name in path.split(at: ".", maximumSplits: Self.maximumDepth, omittingEmpty: false) {
            guard fields.count < Self.maximumDepth, let owner = message, let field = field(name, of: owner) else {
                return nil
            }
            fields.append(field)
            if case .message(let inner) = field.kind, !field.isRepeated { message = inner } else { message = nil }
        }
        return fields
    }

    /// Sets the field at the end of a path in a JSON message.
    /// - Throws: An `AppError` with code `invalidArgument` if the text is not valid for the field, or if the message contains a
    ///   field of the path under both of its names.
    func set(_ texts: [String], at fields: some Collection<Field>, in tree: inout JSON.Value) throws {
        guard let field = fields.first else { return }
        try field.normalizeName(in: &tree)
        guard fields.count == 1 else {
            var child = tree[field.jsonName] ?? .null
            switch child {
            case .object, .null: break
            default: throw AppError(.invalidArgument, "\(field.jsonName) must be an object.")
            }
            try set(texts, at: fields.dropFirst(), in: &child)
            tree[field.jsonName] = child
            return
        }
        let values = try texts.map { try value($0, field.kind, field.jsonName) }
        guard !field.isRepeated else {
            tree[field.jsonName] = .array(values)
            return
        }
        guard values.count == 1 else {
            throw AppError(.invalidArgument, "\(field.jsonName) must occur once; it occurs \(values.count) times.")
        }
        tree[field.jsonName] = values[0]
    }

    private func value(_ text: String, _ kind: Kind, _ path: String) throws -> JSON.Value {
        switch kind {
        case .bool:
            guard text == "true" || text == "false" else {
                throw AppError(.invalidArgument, "\(path) must be true or false; it is \"\(text.prefix(64))\".")
            }
            return .bool(text == "true")
        case .integer, .longInteger, .number, .string, .bytes: return .string(text)
        case .enumeration: return Int(text).map { .integer($0) } ?? .string(text)
        case .message(let name):
            if name == Self.boolValue { return try value(text, .bool, path) }
            guard Self.isScalar(name) else {
                throw AppError(.invalidArgument, "\(path) is a message; set one of its fields instead.")
            }
            return .string(text)
        }
    }

    /// Returns whether the JSON form of a message is a string, a number or a Boolean (ProtoJSON).
    static func isScalar(_ message: String) -> Bool { scalars.contains(message) }

    private static let boolValue = "google.protobuf.BoolValue"
    private static let scalars: Set<String> = Set(
        [
            "Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue", "Int32Value", "UInt32Value",
            "Int64Value", "UInt64Value", "FloatValue", "DoubleValue",
        ].map { "google.protobuf." + $0 } + [boolValue])
}

extension MessageShapes.Field {
    /// Renames the field to its JSON name. Messages may use either name, and the result must not depend on their order.
    fileprivate func normalizeName(in tree: inout JSON.Value) throws {
        guard name != jsonName, let value = tree[name] else { return }
        guard tree[jsonName] == nil else {
            throw AppError(.invalidArgument, "\(jsonName) occurs twice, also as \(name).")
        }
        tree[name] = nil
        tree[jsonName] = value
    }

    fileprivate init(_ field: Google_Protobuf_FieldDescriptorProto) {
        let typeName = field.typeName.hasPrefix(".") ? String(field.typeName.dropFirst()) : field.typeName
        name = field.name
        jsonName = field.jsonName.isEmpty ? Self.jsonName(of: field.name) : field.jsonName
        isRepeated = field.label == .repeated
        kind =
            switch field.type {
            case .bool: .bool
            case .int32, .sint32, .sfixed32, .uint32, .fixed32: .integer
            case .int64, .sint64, .sfixed64, .uint64, .fixed64: .longInteger
            case .float, .double: .number
            case .string: .string
            case .bytes: .bytes
            case .enum: .enumeration(typeName)
            case .message, .group: .message(typeName)
            }
    }

    /// Converts a field name such as `page_size` to its JSON name, `pageSize`.
    private static func jsonName(of name: String) -> String {
        var text = ""
        var isUpper = false
        for character in name {
            if character == "_" {
                isUpper = true
            } else {
                text += isUpper ? character.uppercased() : String(character)
                isUpper = false
            }
        }
        return text
    }
}
