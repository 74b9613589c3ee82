import ApusCore
import HTTPTypes

/// The media types that a client accepts, with their weights (RFC 9110 §12.5.1).
struct Accept {
    private struct Range {
        let type: String
        let subtype: String
        let weight: Double

        /// Returns how specifically the range matches a type, or `nil` if it does not match.
        func specificity(for wanted: MediaType) -> Int? {
            if type == wanted.type, subtype == wanted.subtype { return 2 }
            if type == wanted.type, subtype == "*" { return 1 }
            return type == "*" && subtype == "*" ? 0 : nil
        }
    }

    private let ranges: [Range]
    /// The maximum number of ranges that are evaluated.
    private static let maximumCount = 64

    init(_ field: String) {
        ranges = FieldList.elements(field).prefix(Self.maximumCount).compactMap { element in
            guard let type = MediaType(String(element)) else { return nil }
            let weight = type.parameters["q"].map { Weight.parse($0) ?? 0 } ?? 1
            return Range(type: type.type, subtype: type.subtype, weight: weight)
        }
    }

    /// Returns the weight of a type, which is that of the most specific matching range.
    func weight(of type: MediaType) -> Double {
        ranges.compactMap { range in range.specificity(for: type).map { ($0, range.weight) } }
            .max { $0.0 < $1.0 }?.1 ?? 0
    }
}

/// Parses the weights of preferences (RFC 9110 §12.4.2).
enum Weight {
    /// Parses a weight: `0` to `1`, with at most three decimal places.
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
    /// Returns the media type that the client prefers according to its `Accept` field. Of types with the same weight,
    /// the first one is returned; without the field, the first type.
    /// - Returns: `nil` if the client accepts none of the types.
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
