import ApusCore
import ApusJSON
import FoundationEssentials

/// A type of the standard library, Foundation or Apus with a known schema and an example value.
protocol StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value
    static var example: Self { get }
}

extension Bool: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "boolean"] }
    static var example: Bool { false }
}

extension String: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "string"] }
    static var example: String { "" }
}

extension StandardSchema where Self: FixedWidthInteger {
    static func schema(in registry: SchemaRegistry) -> JSON.Value {
        var schema: JSON.Value = ["type": "integer"]
        if bitWidth == 32 || bitWidth == 64 {
            schema["format"] = .string(isSigned ? "int\(bitWidth)" : "uint\(bitWidth)")
        }
        // A bound that `JSON.Value` cannot represent, such as that of `UInt64`, is left out.
        if let minimum = Int(exactly: Self.min) { schema["minimum"] = .integer(minimum) }
        if let maximum = Int(exactly: Self.max) { schema["maximum"] = .integer(maximum) }
        return schema
    }

    static var example: Self { 0 }
}

extension Int: StandardSchema {}
extension Int8: StandardSchema {}
extension Int16: StandardSchema {}
extension Int32: StandardSchema {}
extension Int64: StandardSchema {}
extension UInt: StandardSchema {}
extension UInt8: StandardSchema {}
extension UInt16: StandardSchema {}
extension UInt32: StandardSchema {}
extension UInt64: StandardSchema {}

extension Double: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "number", "format": "double"] }
    static var example: Double { 0 }
}

extension Float: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "number", "format": "float"] }
    static var example: Float { 0 }
}

extension Decimal: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "number"] }
    static var example: Decimal { 0 }
}

extension Date: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "string", "format": "date-time"] }
    static var example: Date { Date(timeIntervalSince1970: 0) }
}

extension Data: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "string", "contentEncoding": "base64"] }
    static var example: Data { Data() }
}

extension UUID: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "string", "format": "uuid"] }
    static var example: UUID { UUID() }
}

extension URL: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "string", "format": "uri"] }
    static var example: URL { URL(filePath: "/") }
}

extension Identifier: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { ["type": "string", "format": "uuid"] }
    static var example: Identifier { Identifier() }
}

extension JSON.Value: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { .object([]) }
    static var example: JSON.Value { .null }
}

extension Secret: StandardSchema where Value: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value {
        var schema = registry.schema(of: Value.self)
        schema["format"] = "password"
        schema["writeOnly"] = true
        return schema
    }

    static var example: Secret { Secret(Value.example) }
}

extension Optional: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value { registry.schema(of: Wrapped.self).orNull }
    static var example: Wrapped? { nil }
}

extension Array: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value {
        ["type": "array", "items": registry.schema(of: Element.self)]
    }

    static var example: [Element] { [] }
}

extension Set: StandardSchema {
    // Without `uniqueItems`, because duplicates are accepted and ignored.
    static func schema(in registry: SchemaRegistry) -> JSON.Value {
        ["type": "array", "items": registry.schema(of: Element.self)]
    }

    static var example: Set<Element> { [] }
}

extension Dictionary: StandardSchema {
    static func schema(in registry: SchemaRegistry) -> JSON.Value {
        guard Key.self == String.self || Key.self == Int.self || Key.self is any CodingKeyRepresentable.Type else {
            return ["type": "array", "description": "Alternating keys and values."]
        }
        return ["type": "object", "additionalProperties": registry.schema(of: Value.self)]
    }

    static var example: [Key: Value] { [:] }
}

extension JSON.Value {
    /// The schema that allows `null` as well.
    var orNull: JSON.Value {
        guard case .string(let type) = self["type"] else { return ["anyOf": [self, ["type": "null"]]] }
        var schema = self
        schema["type"] = [.string(type), "null"]
        if case .array(let values) = self["enum"] { schema["enum"] = .array(values + [.null]) }
        return schema
    }
}
