import ApusCore

/// Percent-encoding (RFC 3986 §2.1).
package enum PercentEncoding {
    /// Encodes everything but letters, digits, `-`, `.`, `_` and `~`.
    static func encode(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(UnicodeScalar(byte))
            default: append(byte, to: &result)
            }
        }
        return result
    }

    /// Encodes the characters that no URL can contain (RFC 3986 §2): control characters, spaces, quotes and the like,
    /// everything outside ASCII, and a `%` without two hexadecimal digits. What is encoded remains as it is.
    ///
    /// Every URL in a header field passes through this function: it can neither end its field nor the `<…>` of a link.
    static func encode(url text: String) -> String {
        let bytes = Array(text.utf8)
        var result = ""
        result.reserveCapacity(bytes.count)
        for (index, byte) in bytes.enumerated() {
            let isAllowed =
                byte == UInt8(ascii: "%")
                ? bytes[(index + 1)...].prefix(2).compactMap(digit).count == 2
                : byte > 0x20 && byte < 0x7F && !#""<>\^`{|}"#.utf8.contains(byte)
            if isAllowed {
                result.unicodeScalars.append(UnicodeScalar(byte))
            } else {
                append(byte, to: &result)
            }
        }
        return result
    }

    /// Encodes a URL of this host from the parts of a request target. A path that begins with two slashes would name
    /// another host (RFC 3986 §4.2), so `/.` is put before it.
    static func encode(path: String, query: String?) -> String {
        let target = query.map { "\(path)?\($0)" } ?? path
        let prefix = path.starts(withBytesOf: "//") ? "/." : ""
        return prefix + encode(url: target).replacing(["#": "%23"])
    }

    private static func append(_ byte: UInt8, to text: inout String) {
        text += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
    }

    /// Decodes percent-encoded text.
    /// - Returns: `nil` if a `%` is not followed by two hexadecimal digits, or if the result is not valid UTF-8.
    package static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String? {
        let special = text.utf8.contains { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }
        guard special else { return String(text) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
