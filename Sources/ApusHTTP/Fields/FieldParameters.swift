import ApusCore

/// Parameters of a field's value (RFC 9110 §5.6.6): `; name=value; name="quoted value"`.
enum FieldParameters {
    /// How text in quotes is read.
    enum Quoting {
        /// As RFC 9110 §5.6.4 says: a backslash escapes what follows it.
        case escaped
        /// As browsers write names of form fields (the HTML standard, §4.10.21.8): `%22`, `%0D` and `%0A` stand for a quote, CR and
        /// LF, and a backslash means itself. One before a quote that does not end the value escapes it all the same: older clients
        /// that are no browsers write it so.
        case browser
    }

    /// Of several of one name the first counts.
    /// - Returns: The values by their names in lower case; `nil` if they are malformed.
    static func parse(_ text: some StringProtocol, _ quoting: Quoting = .escaped) -> [String: String]? {
        var parameters: [String: String] = [:]
        var rest = Substring(text).utf8
        while let first = rest.first {
            guard first == UInt8(ascii: ";") else { return nil }
            rest = skippingBlanks(rest.dropFirst())
            let name = Substring(rest.prefix { $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: ";") })
            rest = rest.dropFirst(name.utf8.count)
            if name.trimmed.isEmpty, rest.first != UInt8(ascii: "=") { continue }
            guard isToken(name), rest.popFirst() == UInt8(ascii: "=") else { return nil }
            guard let value = value(&rest, quoting) else { return nil }
            rest = skippingBlanks(rest)
            if parameters[name.asciiLowercased] == nil { parameters[name.asciiLowercased] = value }
        }
        return parameters
    }

    private static func skippingBlanks(_ bytes: Substring.UTF8View) -> Substring.UTF8View {
        bytes.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }

    private static func value(_ rest: inout Substring.UTF8View, _ quoting: Quoting) -> String? {
        if rest.first == UInt8(ascii: "\"") { return quoted(&rest, quoting) }
        let token = Substring(rest.prefix { $0 != UInt8(ascii: ";") })
        rest = rest.dropFirst(token.utf8.count)
        let value = token.trimmed
        return isToken(value) ? String(value) : nil
    }

    private static func quoted(_ rest: inout Substring.UTF8View, _ quoting: Quoting) -> String? {
        rest = rest.dropFirst()
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            switch (byte, quoting) {
            case (UInt8(ascii: "\""), .escaped): return String(validating: bytes, as: UTF8.self)
            case (UInt8(ascii: "\""), .browser):
                // A quote ends the value where a value can end.
                let next = skippingBlanks(rest).first
                if next == nil || next == UInt8(ascii: ";") {
                    return String(validating: bytes, as: UTF8.self).map {
                        percentDecoded($0)
                    }
                }
                guard bytes.last == UInt8(ascii: "\\") else { return nil }
                bytes[bytes.count - 1] = byte
            case (UInt8(ascii: "\\"), .escaped):
                guard let escaped = rest.popFirst() else { return nil }
                bytes.append(escaped)
            default: bytes.append(byte)
            }
        }
        return nil
    }

    /// The three escapes of browsers, and nothing else: `%41` means itself.
    private static func percentDecoded(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%"), let escape = escapes.first(where: { rest.starts(with: $0.digits) }) else {
                result.append(byte)
                continue
            }
            result.append(escape.byte)
            rest = rest.dropFirst(2)
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static let escapes: [(digits: [UInt8], byte: UInt8)] = [
        (Array("22".utf8), UInt8(ascii: "\"")), (Array("0D".utf8), UInt8(ascii: "\r")),
        (Array("0A".utf8), UInt8(ascii: "\n")), (Array("0d".utf8), UInt8(ascii: "\r")),
        (Array("0a".utf8), UInt8(ascii: "\n")),
    ]

    /// RFC 9110 §5.6.2.
    static func isToken(_ text: some StringProtocol) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}
