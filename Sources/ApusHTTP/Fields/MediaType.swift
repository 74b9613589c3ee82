import ApusCore

/// A media type with its parameters (RFC 9110 §8.3.1), such as `multipart/form-data; boundary=x`.
package struct MediaType: Sendable, Equatable {
    /// The type in lower case, such as `text`.
    let type: String
    /// The subtype in lower case, such as `html`.
    let subtype: String
    /// The parameters by their names in lower case.
    let parameters: [String: String]

    /// Parses a media type; `nil` if it is malformed.
    package init?(_ field: String) {
        let (essence, rest) = field.cut(at: ";").map { ($0.before, ";" + $0.after) } ?? (Substring(field), "")
        guard let (type, subtype) = essence.trimmed.cut(at: "/"), FieldParameters.isToken(type),
            FieldParameters.isToken(subtype), let parameters = FieldParameters.parse(rest)
        else { return nil }
        self.type = type.asciiLowercased
        self.subtype = subtype.asciiLowercased
        self.parameters = parameters
    }

    /// The type and the subtype, without parameters.
    var essence: String { "\(type)/\(subtype)" }

    var isJSON: Bool { type == "application" && (subtype == "json" || subtype.ends(withBytesOf: "+json")) }
}
