import ApusCore

/// Parses the parameters of a field value (RFC 9110 §5.6.6): `; name=value; name="quoted value"`.
enum FieldParameters {
    /// The syntax of quoted strings.
    enum Quoting {
        /// The syntax of RFC 9110 §5.6.4: a backslash escapes the next character.
        case escaped
        /// The syntax of browsers for the names of form fields (HTML standard, §4.10.21.8): `%22`, `%0D` and `%0A`
        /// stand for a quote, CR and LF, and a backslash is literal. However, a backslash before a quote that does not
        /// end the value escapes it, because older clients other than browsers write quotes this way.
        case browser
    }

    /// Parses parameters. If several have the same name, the first one is used.
    /// - Returns: The values by their names in lower case; `nil` if the parameters are malformed.
    static func parse(_ text: some StringProtocol, _ quoting: Quoting = .escaped) -> [String: String]? {
        var parameters: [String: String] = [:]
        var rest = Substring(text).utf8
        while let first = rest.first {
            guard first == UInt8(ascii: ";") else { return nil }
            rest = skippingWhitespace(rest.dropFirst())
            let name = Substring(rest.prefix { $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: ";") })
            rest = rest.dropFirst(name.utf8.count)
            if name.trimmed.isEmpty, rest.first != UInt8(ascii: "=") { continue }
            guard isToken(name), rest.popFirst() == UInt8(ascii: "=") else { return nil }
            guard let value = value(&rest, quoting) else { return nil }
            rest = skippingWhitespace(rest)
            if parameters[name.asciiLowercased] == nil { parameters[name.asciiLowercased] = value }
        }
        return parameters
    }

    private static func skippingWhitespace(_ bytes: Substring.UTF8View) -> Substring.UTF8View {
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
                // A quote ends the value only if a semicolon or the end of the text follows.
                let next = skippingWhitespace(rest).first
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

    /// Decodes the three escapes of browsers and nothing else: `%41` is literal.
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

    /// Returns whether the text is a token (RFC 9110 §5.6.2).
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
