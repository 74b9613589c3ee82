import ApusJSON

extension MessageShapes {
    /// How deep messages are described; what is further in is any value.
    private static let deepest = 8

    /// The JSON schema of a message.
    func schema(of message: String) -> JSON.Value { schema(of: message, depth: 0) }

    /// The JSON schema of a field.
    func schema(of field: Field) -> JSON.Value { schema(of: field, depth: 0) }

    private func schema(of message: String, depth: Int) -> JSON.Value {
        switch message {
        case "google.protobuf.Timestamp": return ["type": "string", "format": "date-time"]
        case "google.protobuf.BoolValue": return ["type": "boolean"]
        case _ where Self.textual.contains(message): return ["type": "string"]
        default: break
        }
        guard depth < Self.deepest, let fields = messages[message], !message.hasPrefix("google.protobuf.") else {
            return .object([])
        }
        return [
            "type": "object",
            "properties": .object(fields.map { .init($0.jsonName, schema(of: $0, depth: depth + 1)) }),
        ]
    }

    private func schema(of field: Field, depth: Int) -> JSON.Value {
        if case .message(let name) = field.kind, mapEntries.contains(name) {
            let values = self.field("value", of: name).map { schema(of: $0, depth: depth + 1) } ?? .object([])
            return ["type": "object", "additionalProperties": values]
        }
        let single: JSON.Value =
            switch field.kind {
            case .bool: ["type": "boolean"]
            case .integer: ["type": "integer"]
            // As text, because many readers' numbers are not exact so far.
            case .longInteger: ["type": "string", "format": "int64"]
            case .number: ["type": "number"]
            case .string: ["type": "string"]
            case .bytes: ["type": "string", "contentEncoding": "base64"]
            case .enumeration(let name):
                ["type": "string", "enum": .array((enumerations[name] ?? []).map { .string($0) })]
            case .message(let name): schema(of: name, depth: depth)
            }
        return field.isRepeated ? ["type": "array", "items": single] : single
    }
}
