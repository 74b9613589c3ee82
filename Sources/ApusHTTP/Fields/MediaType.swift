/// A media type with its parameters (RFC 9110 §8.3.1), such as `multipart/form-data; boundary=x`.
package struct MediaType: Sendable, Equatable {
    /// In lower case, such as `text`.
    let type: String
    /// In lower case, such as `html`.
    let subtype: String
    /// Names in lower case.
    let parameters: [String: String]

    /// - Returns: `nil` for what is none.
    package init?(_ field: String) {
        var rest = field[...]
        let essence = rest.prefix { $0 != ";" }
        rest = rest.dropFirst(essence.count)
        let parts = essence.trimmed.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ Self.isToken($0) }) else { return nil }
        type = parts[0].lowercased()
        subtype = parts[1].lowercased()
        guard let parameters = Self.parameters(rest) else { return nil }
        self.parameters = parameters
    }

    var essence: String { "\(type)/\(subtype)" }

    var isJSON: Bool { type == "application" && (subtype == "json" || subtype.hasSuffix("+json")) }

    /// `; name=value; name="quoted value"`. Of several of one name the first counts.
    /// - Returns: `nil` if it is not of this form.
    static func parameters(_ text: Substring) -> [String: String]? {
        var parameters: [String: String] = [:]
        var rest = text
        while let first = rest.first {
            guard first == ";" else { return nil }
            rest = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
            let name = rest.prefix { $0 != "=" && $0 != ";" }
            rest = rest.dropFirst(name.count)
            if name.trimmed.isEmpty, rest.first != "=" { continue }
            guard isToken(name), rest.first == "=" else { return nil }
            rest = rest.dropFirst()
            let value: String
            if rest.first == "\"" {
                guard let text = quoted(&rest) else { return nil }
                value = text
            } else {
                let token = rest.prefix { $0 != ";" }
                rest = rest.dropFirst(token.count)
                value = String(token.trimmed)
                guard isToken(value) else { return nil }
            }
            rest = rest.drop { $0 == " " || $0 == "\t" }
            if parameters[name.lowercased()] == nil { parameters[name.lowercased()] = value }
        }
        return parameters
    }

    private static func quoted(_ rest: inout Substring) -> String? {
        rest = rest.dropFirst()
        var text = ""
        while let character = rest.popFirst() {
            switch character {
            case "\"": return text
            // Only what needs it is escaped: some clients send paths whose backslashes mean themselves.
            case "\\" where rest.first == "\"" || rest.first == "\\":
                text.append(rest.removeFirst())
            default: text.append(character)
            }
        }
        return nil
    }

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

extension StringProtocol {
    /// Without the blanks around it.
    package var trimmed: SubSequence {
        var result = self[...]
        while let last = result.last, last == " " || last == "\t" { result.removeLast() }
        return result.drop { $0 == " " || $0 == "\t" }
    }
}
