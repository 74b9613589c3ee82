import ApusCore
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
        ranges = field.split(at: ",").prefix(Self.maximumCount).compactMap { element in
            guard let type = MediaType(String(element.trimmed)) else { return nil }
            let weight = type.parameters["q"].map { Weight.parse($0) ?? 0 } ?? 1
            return Range(type: type.type, subtype: type.subtype, weight: weight)
        }
    }

    /// By the range that names the type most closely.
    func weight(of type: MediaType) -> Double {
        ranges.compactMap { range in range.specificity(for: type).map { ($0, range.weight) } }
            .max { $0.0 < $1.0 }?.1 ?? 0
    }
}

/// The weight of a preference (RFC 9110 §12.4.2).
enum Weight {
    /// `0` to `1`, with three digits after the point at most.
    static func parse(_ text: some StringProtocol) -> Double? {
        let bytes = Array(text.utf8)
        guard (1...5).contains(bytes.count), bytes[0] == UInt8(ascii: "0") || bytes[0] == UInt8(ascii: "1"),
            bytes.count == 1 || bytes[1] == UInt8(ascii: "."),
            bytes.dropFirst(2).allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let weight = Double(String(decoding: bytes, as: UTF8.self)), weight <= 1
        else { return nil }
        return weight
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
