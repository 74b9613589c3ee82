import ApusCore
import ApusJSON
import FoundationEssentials
import SwiftProtobuf

/// What messages are made of, as the files that declare them say: so that text of a path or a query finds its field.
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

    /// Fields by the full names of their messages.
    private(set) var messages: [String: [Field]] = [:]
    /// Names of values by the full names of their enumerations.
    private(set) var enumerations: [String: [String]] = [:]
    /// Messages that are the entries of maps.
    private(set) var mapEntries: Set<String> = []

    /// - Parameter files: `google.protobuf.FileDescriptorProto`s in base64. Those that cannot be read are left out.
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

    /// A field by either of its names.
    func field(_ name: some StringProtocol, of message: String) -> Field? {
        messages[message]?.first { $0.name == name || $0.jsonName == name }
    }

    /// The field that the values of a map are; `nil` for what is no map.
    func mapValues(of field: Field) -> Field? {
        guard case .message(let name) = field.kind, mapEntries.contains(name) else { return nil }
        return self.field("value", of: name)
    }

    /// Messages deeper than this are not reached by a path. SwiftProtobuf reads 100.
    private static let deepest = 32

    /// The fields that a path such as `shop.id` leads through; `nil` where it leads to none.
    func fields(at path: some StringProtocol, of message: String) -> [Field]? {
        var fields: [Field] = []
        var message: String? = message
        for name in path.split(separator: ".", maxSplits: Self.deepest, omittingEmptySubsequences: false) {
            guard fields.count < Self.deepest, let owner = message, let field = field(name, of: owner) else {
                return nil
            }
            fields.append(field)
            if case .message(let inner) = field.kind, !field.isRepeated { message = inner } else { message = nil }
        }
        return fields
    }

    /// Puts text where fields lead, in a message as JSON.
    /// - Throws: An `AppError` of code `invalidArgument` for text that the last field cannot be, and for a message that has one
    ///   of them by both of its names.
    func set(_ texts: [String], at fields: some Collection<Field>, in tree: inout JSON.Value) throws {
        guard let field = fields.first else { return }
        try field.unifyNames(in: &tree)
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
            throw AppError(.invalidArgument, "\(field.jsonName) is there \(values.count) times, and has one value.")
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
            guard Self.isText(name) else {
                throw AppError(.invalidArgument, "\(path) has fields of its own: name one of them.")
            }
            return .string(text)
        }
    }

    /// Whether a message can be read from text: its JSON is text, a number or a truth (Protocol Buffers, JSON mapping).
    static func isText(_ message: String) -> Bool { textual.contains(message) }

    private static let boolValue = "google.protobuf.BoolValue"
    private static let textual: Set<String> = Set(
        [
            "Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue", "Int32Value", "UInt32Value",
            "Int64Value", "UInt64Value", "FloatValue", "DoubleValue",
        ].map { "google.protobuf." + $0 } + [boolValue])
}

extension MessageShapes.Field {
    /// Leaves the name of JSON alone: a message may come with either, and what counts must not depend on the order.
    fileprivate func unifyNames(in tree: inout JSON.Value) throws {
        guard name != jsonName, let value = tree[name] else { return }
        guard tree[jsonName] == nil else {
            throw AppError(.invalidArgument, "\(jsonName) is there twice, as \(name), too.")
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

    /// `page_size` is `pageSize`.
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
