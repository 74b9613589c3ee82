import ApusCore
import ApusJSON

/// Encodes a value as `application/x-www-form-urlencoded` in the notation of ``FormDecoder``: the equivalent of the JSON
/// `{"a": {"b": 1}, "tags": ["x"], "items": [{"n": 2}]}` is `a[b]=1&tags[]=x&items[0][n]=2`. Null values are omitted.
enum FormEncoder {
    /// Encodes a value.
    /// - Throws: The encoding error, or an `AppError` with code `invalidArgument` if the value is not encoded as an object.
    static func encode(_ value: any Encodable) throws -> String {
        let json = try JSONCoding.decode(JSON.Value.self, from: JSONCoding.encode(value))
        guard case .object(let members) = json else {
            throw AppError(
                .invalidArgument, "\(type(of: value)) cannot be encoded as a form, because it has no fields.")
        }
        var pairs: [String] = []
        for member in members { write(member.value, member.name, &pairs) }
        return pairs.joined(separator: "&")
    }

    private static func write(_ value: JSON.Value, _ name: String, _ pairs: inout [String]) {
        func add(_ text: String) { pairs.append("\(PercentEncoding.encode(name))=\(PercentEncoding.encode(text))") }
        switch value {
        case .null: break
        case .bool(let value): add("\(value)")
        case .integer(let value): add("\(value)")
        case .number(let value): add("\(value)")
        case .string(let value): add(value)
        case .object(let members):
            for member in members { write(member.value, "\(name)[\(member.name)]", &pairs) }
        case .array(let elements):
            for (index, element) in elements.enumerated() {
                let isObject = if case .object = element { true } else { false }
                write(element, isObject ? "\(name)[\(index)]" : "\(name)[]", &pairs)
            }
        }
    }
}
