/// A parsed path of a `google.api.http` option, such as `/v1/{name=shops/*}/orders/{id}:cancel`.
struct PathTemplate {
    enum Segment: Equatable {
        case text(String)
        case any
        case rest
    }

    private(set) var segments: [Segment] = []
    /// The path parameters: the path of the field and the range of the segments that form its value.
    private(set) var parameters: [(field: String, range: Range<Int>)] = []
    private(set) var verb: String?

    /// - Throws: A ``Problem`` for a malformed path.
    init(_ text: String) throws {
        var rest = text[...]
        guard rest.popFirst() == "/" else { throw Problem(text, "must begin with a slash") }
        // A colon after the last slash or brace begins the verb.
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains(where: { "/}".contains($0) }) {
            verb = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
            guard verb?.isEmpty == false else { throw Problem(text, "has an empty verb") }
            guard verb?.utf8.allSatisfy(Self.isPlain) == true else { throw Problem(text, "has an invalid verb") }
        }
        while !rest.isEmpty {
            try readSegment(&rest, text)
            if rest.popFirst() == nil { break }
            guard !rest.isEmpty else { throw Problem(text, "must not end with a slash") }
        }
        guard !segments.isEmpty else { throw Problem(text, "has no segments") }
        if let index = segments.firstIndex(of: .rest), index != segments.count - 1 {
            throw Problem(text, "has ** before its last segment")
        }
    }

    private mutating func readSegment(_ rest: inout Substring, _ text: String) throws {
        guard rest.first == "{" else {
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            segments.append(try Self.segment(rest[..<end], text))
            rest = rest[end...]
            return
        }
        guard let end = rest.firstIndex(of: "}") else { throw Problem(text, "has a { without a }") }
        let inner = rest[rest.index(after: rest.startIndex)..<end].split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        rest = rest[rest.index(after: end)...]
        guard rest.isEmpty || rest.first == "/" else { throw Problem(text, "has a } that is not followed by a slash") }
        let field = String(inner[0])
        guard !field.isEmpty, !parameters.contains(where: { $0.field == field }) else {
            throw Problem(text, "has an empty or duplicate field name, \"\(field)\"")
        }
        let start = segments.count
        let parts = inner.count > 1 ? inner[1].split(separator: "/", omittingEmptySubsequences: false) : ["*"]
        for part in parts { segments.append(try Self.segment(part, text)) }
        parameters.append((field, start..<segments.count))
    }

    private static func segment(_ part: Substring, _ text: String) throws -> Segment {
        switch part {
        case "*": return .any
        case "**": return .rest
        default:
            guard !part.isEmpty, part.utf8.allSatisfy(isPlain) else {
                throw Problem(text, "has an invalid segment, \"\(part)\"")
            }
            return .text(String(part))
        }
    }

    /// Returns whether a byte has no special meaning in a path or in the generated code.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && !"*{}\"\\?#:/%".utf8.contains(byte)
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String

        init(_ path: String, _ reason: String) { description = "the path \"\(path)\" \(reason)" }
    }
}
