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

    /// Puts text where a field's path leads, in a message as JSON.
    /// - Returns: Whether there is such a field.
    /// - Throws: An `AppError` of code `invalidArgument` for text that the field cannot be.
    func set(_ texts: [String], at path: String, of message: String, in tree: inout JSON.Value) throws -> Bool {
        try set(texts, path[...], path, message, &tree)
    }

    private func set(
        _ texts: [String], _ rest: Substring, _ path: String, _ message: String, _ tree: inout JSON.Value
    ) throws -> Bool {
        let parts = rest.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, let field = field(name, of: message) else { return false }
        if parts.count > 1 {
            guard case .message(let inner) = field.kind, !field.isRepeated else { return false }
            var child = tree[field.jsonName] ?? .object([])
            guard try set(texts, parts[1], path, inner, &child) else { return false }
            tree[field.jsonName] = child
            return true
        }
        let values = try texts.map { try value($0, field.kind, path) }
        guard !field.isRepeated else {
            tree[field.jsonName] = .array(values)
            return true
        }
        guard values.count == 1 else {
            throw AppError(.invalidArgument, "\(path) is there \(values.count) times, and has one value.")
        }
        tree[field.jsonName] = values[0]
        return true
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
            if name == "google.protobuf.BoolValue" { return try value(text, .bool, path) }
            guard Self.textual.contains(name) else {
                throw AppError(.invalidArgument, "\(path) has fields of its own: name one of them.")
            }
            return .string(text)
        }
    }

    /// Messages that are text in JSON (Protocol Buffers, JSON mapping).
    static let textual: Set<String> = Set(
        [
            "Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue", "Int32Value", "UInt32Value",
            "Int64Value", "UInt64Value", "FloatValue", "DoubleValue",
        ].map { "google.protobuf." + $0 })
}

extension MessageShapes.Field {
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
