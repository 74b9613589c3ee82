import ApusCore
import FoundationEssentials

/// The base64url encoding (RFC 4648 §5) without padding, for URLs and header fields.
enum Base64URL {
    static func encode(_ bytes: some Collection<UInt8>) -> String {
        Data(bytes).base64EncodedString().replacing(["+": "-", "/": "_", "=": ""])
    }

    /// - Returns: `nil` for text that ``encode(_:)`` does not produce.
    static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let standard = text.replacing(["-": "+", "_": "/"])
        let padded = standard + String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4)
        guard let bytes = Data(base64Encoded: padded), encode(bytes).isExactly(text) else { return nil }
        return Array(bytes)
    }
}
