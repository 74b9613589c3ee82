import ApusCore

/// A media type with its parameters (RFC 9110 §8.3.1), such as `multipart/form-data; boundary=x`.
package struct MediaType: Sendable, Equatable {
    /// In lower case, such as `text`.
    let type: String
    /// In lower case, such as `html`.
    let subtype: String
    /// By their names in lower case.
    let parameters: [String: String]

    /// - Returns: `nil` for a malformed one.
    package init?(_ field: String) {
        let (essence, rest) = field.cut(at: ";").map { ($0.before, ";" + $0.after) } ?? (Substring(field), "")
        guard let (type, subtype) = essence.trimmed.cut(at: "/"), FieldParameters.isToken(type),
            FieldParameters.isToken(subtype), let parameters = FieldParameters.parse(rest)
        else { return nil }
        self.type = type.asciiLowercased
        self.subtype = subtype.asciiLowercased
        self.parameters = parameters
    }

    var essence: String { "\(type)/\(subtype)" }

    var isJSON: Bool { type == "application" && (subtype == "json" || subtype.hasSuffix("+json")) }
}
