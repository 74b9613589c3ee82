import HTTPTypes

/// The media types that a client takes, and how gladly (RFC 9110 §12.5.1).
struct Accept {
    private struct Range {
        let type: String
        let subtype: String
        let weight: Double

        /// How closely it names a type; `nil` if it does not.
        func specificity(for wanted: MediaType) -> Int? {
            if type == wanted.type, subtype == wanted.subtype { return 2 }
            if type == wanted.type, subtype == "*" { return 1 }
            return type == "*" && subtype == "*" ? 0 : nil
        }
    }

    private let ranges: [Range]
    /// More than these are not looked at.
    private static let maximumCount = 64

    init(_ field: String) {
        ranges = field.split(separator: ",").prefix(Self.maximumCount).compactMap { element in
            guard let type = MediaType(String(element.trimmed)) else { return nil }
            let weight = type.parameters["q"].map { Double($0) ?? 0 } ?? 1
            return Range(type: type.type, subtype: type.subtype, weight: (0...1).contains(weight) ? weight : 0)
        }
    }

    /// By the range that names the type most closely.
    func weight(of type: MediaType) -> Double {
        ranges.compactMap { range in range.specificity(for: type).map { ($0, range.weight) } }
            .max { $0.0 < $1.0 }?.1 ?? 0
    }
}

extension Request {
    /// The media type that the client likes best of those that there are, by its `Accept`; of two that it likes alike the
    /// first one; without the field the first one of all.
    /// - Returns: `nil` when it takes none of them.
    public func preferredType(of types: String...) -> String? {
        guard let field = headers[.accept] else { return types.first }
        let accept = Accept(field)
        var best: (type: String, weight: Double)?
        for type in types {
            let weight = MediaType(type).map(accept.weight) ?? 0
            if weight > best?.weight ?? 0 { best = (type, weight) }
        }
        return best?.type
    }
}
