import ApusHTTP
import ApusJSON

extension MessageShapes {
    /// Returns the JSON schema of a message.
    func schema(of message: String) -> OpenAPI.Schema { OpenAPI.Schema { schema(of: message, $0) } }

    /// Returns the JSON schema of a field.
    func schema(of field: Field) -> OpenAPI.Schema { OpenAPI.Schema { schema(of: field, $0) } }

    private func schema(of message: String, _ registry: SchemaRegistry) -> JSON.Value {
        if let schema = Self.wellKnown[message] { return schema }
        guard let fields = messages[message], !message.hasPrefix("google.protobuf.") else { return .object([]) }
        return registry.component(named: message) {
            [
                "type": "object",
                "properties": .object(fields.map { .init($0.jsonName, schema(of: $0, registry)) }),
            ]
        }
    }

    private func schema(of field: Field, _ registry: SchemaRegistry) -> JSON.Value {
        if let values = mapValues(of: field) {
            return ["type": "object", "additionalProperties": schema(of: values, registry)]
        }
        let single: JSON.Value =
            switch field.kind {
            case .bool: ["type": "boolean"]
            case .integer: ["type": "integer"]
            case .longInteger: Self.longInteger
            case .number: ["type": "number"]
            case .string: ["type": "string"]
            case .bytes: Self.bytes
            case .enumeration(let name):
                ["type": "string", "enum": .array((enumerations[name] ?? []).map { .string($0) })]
            case .message(let name): schema(of: name, registry)
            }
        return field.isRepeated ? ["type": "array", "items": single] : single
    }

    // A string, because many JSON parsers lose precision for 64-bit integers.
    private static let longInteger: JSON.Value = ["type": "string", "format": "int64"]
    private static let bytes: JSON.Value = ["type": "string", "contentEncoding": "base64"]

    /// The schemas of messages with a special JSON mapping (ProtoJSON).
    private static let wellKnown: [String: JSON.Value] = [
        "google.protobuf.Timestamp": ["type": "string", "format": "date-time"],
        "google.protobuf.Duration": ["type": "string"],
        "google.protobuf.FieldMask": ["type": "string"],
        "google.protobuf.StringValue": ["type": "string"],
        "google.protobuf.BytesValue": bytes,
        "google.protobuf.BoolValue": ["type": "boolean"],
        "google.protobuf.Int32Value": ["type": "integer"],
        "google.protobuf.UInt32Value": ["type": "integer"],
        "google.protobuf.Int64Value": longInteger,
        "google.protobuf.UInt64Value": longInteger,
        "google.protobuf.FloatValue": ["type": "number"],
        "google.protobuf.DoubleValue": ["type": "number"],
        "google.protobuf.Empty": ["type": "object"],
        "google.protobuf.Struct": ["type": "object"],
        "google.protobuf.ListValue": ["type": "array", "items": [:]],
    ]
}
