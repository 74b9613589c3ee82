import ApusHTTP

/// The rules for fields in HTTP/2 (RFC 9113 §8.2).
enum HTTP2Field {
    /// Returns whether a field is valid: its name is a token in lower case, its value has no line breaks and no white
    /// space around it, and it is not connection-specific, which HTTP/2 forbids.
    static func isValid(name: String, value: String) -> Bool {
        var name = name
        var value = value
        return name.withUTF8(isValidName) && value.withUTF8(isValidValue) && !isConnectionSpecific(name, value)
    }

    private static func isValidName(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        guard !name.isEmpty else { return false }
        for byte in name where !byte.isToken || (byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")) {
            return false
        }
        return true
    }

    private static func isValidValue(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = value.first, let last = value.last else { return true }
        guard !first.isBlank, !last.isBlank else { return false }
        for byte in value where byte < 0x20 && byte != 0x09 || byte == 0x7F { return false }
        return true
    }

    private static func isConnectionSpecific(_ name: String, _ value: String) -> Bool {
        switch name.utf8.count {
        case 2: name == "te" && value != "trailers"
        case 7: name == "upgrade"
        case 10: name == "connection" || name == "keep-alive"
        case 16: name == "proxy-connection"
        case 17: name == "transfer-encoding"
        default: false
        }
    }
}
