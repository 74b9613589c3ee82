import ApusCore
import Logging

/// Replaces log values whose names suggest a secret.
enum Redaction {
    /// The parts of names that suggest a secret.
    private static let sensitiveWords = [
        "password", "passwd", "secret", "token", "authorization", "cookie", "api_key", "apikey", "private_key",
    ]

    static func apply(to value: Logger.MetadataValue, under key: String) -> Logger.MetadataValue {
        let name = key.lowercased().split(at: "-").joined(separator: "_")
        if sensitiveWords.contains(where: { name.contains(bytesOf: $0) }) { return "<redacted>" }
        switch value {
        case .string, .stringConvertible: return value
        case .array(let values): return .array(values.map { apply(to: $0, under: "") })
        case .dictionary(let fields):
            return .dictionary(
                fields.reduce(into: [:]) { result, field in result[field.key] = apply(to: field.value, under: field.key)
                })
        }
    }
}
