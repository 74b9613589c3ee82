import ApusCore
import ApusHTTP
import ApusJSON
import FoundationEssentials
import NIOCore
import SwiftProtobuf

/// The fields of messages, read from descriptor files, for mapping path and query parameters to fields.
struct MessageShapes: Sendable {
    struct Field: Sendable {
        let name: String
        let jsonName: String
        let kind: Kind
        /// The type in the descriptor, which distinguishes the integer types.
        let type: Google_Protobuf_FieldDescriptorProto.TypeEnum
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
        messages[message]?.first { $0.name.isExactly(name) || $0.jsonName.isExactly(name) }
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
    /// - Parameter parent: The path of the message, with a period at its end, for errors.
    /// - Throws: An `AppError` with code `invalidArgument` if the text is not valid for the field, or if the message contains a
    ///   field of the path under both of its names.
    func set(
        _ texts: [String], at fields: some Collection<Field>, of parent: String = "", in tree: inout JSON.Value
    ) throws {
        guard let field = fields.first else { return }
        let path = parent + field.jsonName
        try field.normalizeName(in: &tree, of: parent)
        guard fields.count == 1 else {
            var child = tree[field.jsonName] ?? .null
            switch child {
            case .object, .null: break
            default: throw AppError(.invalidArgument, "\(path) must be an object.")
            }
            try set(texts, at: fields.dropFirst(), of: path + ".", in: &child)
            tree[field.jsonName] = child
            return
        }
        let values = try texts.map { try value($0, field, path) }
        guard !field.isRepeated else {
            tree[field.jsonName] = .array(values)
            return
        }
        guard values.count == 1 else {
            throw AppError(.invalidArgument, "\(path) must occur once; it occurs \(values.count) times.")
        }
        tree[field.jsonName] = values[0]
    }

    private func value(_ text: String, _ field: Field, _ path: String) throws -> JSON.Value {
        let value: JSON.Value
        switch field.kind {
        case .bool, .message(Self.boolValue): value = text.isExactly("true") ? .bool(true) : .bool(false)
        case .enumeration: value = Int(text).map { .integer($0) } ?? .string(text)
        case .message(let name) where !Self.isScalar(name):
            throw AppError(.invalidArgument, "\(path) is a message; set one of its fields instead.")
        case .integer, .longInteger, .number, .string, .bytes, .message: value = .string(text)
        }
        guard let expectation = try expectation(of: field, violatedBy: text) else { return value }
        throw AppError(.invalidArgument, "\(path) must be \(expectation); it is \"\(text.prefix(64))\".")
    }

    /// Returns what a field's value must be if the text is not that. Otherwise, decoding the whole message would fail, with
    /// an error that does not name the field.
    private func expectation(of field: Field, violatedBy text: String) throws -> String? {
        switch field.kind {
        case .string: return nil
        case .bool, .message(Self.boolValue):
            return ["true", "false"].containsExactly(text) ? nil : "true or false"
        case .enumeration(let name):
            guard let names = enumerations[name] else { return nil }
            return names.containsExactly(text) || Int32(text) != nil ? nil : "one of \(names.joined(separator: ", "))"
        case .integer, .longInteger, .number, .bytes, .message:
            guard let scalar = field.scalar else { return nil }
            let json = try JSONCoding.encode(JSON.Value.string(text))
            let decoded = try? scalar.type.init(jsonUTF8Bytes: Array(json.readableBytesView))
            return decoded == nil ? scalar.expectation : nil
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
    fileprivate func normalizeName(in tree: inout JSON.Value, of parent: String) throws {
        guard name != jsonName, let value = tree[name] else { return }
        guard tree[jsonName] == nil else {
            throw AppError(.invalidArgument, "\(parent)\(jsonName) occurs twice, also as \(parent)\(name).")
        }
        tree[name] = nil
        tree[jsonName] = value
    }

    fileprivate init(_ field: Google_Protobuf_FieldDescriptorProto) {
        let typeName = field.typeName.hasPrefix(".") ? String(field.typeName.dropFirst()) : field.typeName
        name = field.name
        jsonName = field.jsonName.isEmpty ? Self.jsonName(of: field.name) : field.jsonName
        type = field.type
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

    /// A message with the JSON form of the field's type, if that is a string or a number, and a description of the type.
    fileprivate var scalar: (type: any SwiftProtobuf.Message.Type, expectation: String)? {
        switch type {
        case .int32, .sint32, .sfixed32: return (Google_Protobuf_Int32Value.self, "a 32-bit integer")
        case .uint32, .fixed32: return (Google_Protobuf_UInt32Value.self, "an unsigned 32-bit integer")
        case .int64, .sint64, .sfixed64: return (Google_Protobuf_Int64Value.self, "a 64-bit integer")
        case .uint64, .fixed64: return (Google_Protobuf_UInt64Value.self, "an unsigned 64-bit integer")
        case .float: return (Google_Protobuf_FloatValue.self, "a number")
        case .double: return (Google_Protobuf_DoubleValue.self, "a number")
        case .bytes: return (Google_Protobuf_BytesValue.self, "in base64")
        case .message: return wellKnownScalar
        case .bool, .string, .enum, .group: return nil
        }
    }

    private var wellKnownScalar: (type: any SwiftProtobuf.Message.Type, expectation: String)? {
        guard case .message(let name) = kind else { return nil }
        switch name {
        case "google.protobuf.Int32Value": return (Google_Protobuf_Int32Value.self, "a 32-bit integer")
        case "google.protobuf.UInt32Value": return (Google_Protobuf_UInt32Value.self, "an unsigned 32-bit integer")
        case "google.protobuf.Int64Value": return (Google_Protobuf_Int64Value.self, "a 64-bit integer")
        case "google.protobuf.UInt64Value": return (Google_Protobuf_UInt64Value.self, "an unsigned 64-bit integer")
        case "google.protobuf.FloatValue": return (Google_Protobuf_FloatValue.self, "a number")
        case "google.protobuf.DoubleValue": return (Google_Protobuf_DoubleValue.self, "a number")
        case "google.protobuf.BytesValue": return (Google_Protobuf_BytesValue.self, "in base64")
        case "google.protobuf.Timestamp": return (Google_Protobuf_Timestamp.self, "a time such as 2026-01-31T12:00:00Z")
        case "google.protobuf.Duration": return (Google_Protobuf_Duration.self, "a duration in seconds such as 1.5s")
        case "google.protobuf.FieldMask":
            return (Google_Protobuf_FieldMask.self, "a list of fields such as name,shop.id")
        default: return nil
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
