import ApusCore
import FoundationEssentials

/// A message as the payload of a notification, which is text without NUL: `t` and the message, or `b` and the message in
/// Base64 (RFC 4648 §4) if it is not such text.
enum PubSubPayload {
    static let maximumTextLength = PostgresDatabase.maximumPayloadLength - 1
    /// Base64 has four characters for three bytes.
    static let maximumBinaryLength = maximumTextLength / 4 * 3

    /// - Throws: An `AppError` of code `invalidArgument` if the message is too long.
    static func encode(_ message: [UInt8]) throws -> String {
        let text = message.contains(0) ? nil : String(validating: message, as: UTF8.self)
        let maximum = text == nil ? maximumBinaryLength : maximumTextLength
        guard message.count <= maximum else {
            let kind = text == nil ? "a binary message" : "a text"
            throw AppError(
                .invalidArgument,
                "The message has \(message.count) bytes; on Postgres, the maximum for \(kind) is \(maximum). Send an identifier, or use Redis."
            )
        }
        return text.map { "t" + $0 } ?? "b" + Data(message).base64EncodedString()
    }

    /// - Returns: `nil` if another program has sent the payload.
    static func decode(_ payload: String) -> [UInt8]? {
        let content = payload.utf8.dropFirst()
        switch payload.utf8.first {
        case UInt8(ascii: "t"): return Array(content)
        case UInt8(ascii: "b"): return Data(base64Encoded: String(Substring(content))).map { Array($0) }
        default: return nil
        }
    }
}
