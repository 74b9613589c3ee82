/// A path of a `google.api.http` option, read: `/v1/{name=shops/*}/orders/{id}:cancel`.
struct PathTemplate {
    enum Segment: Equatable {
        case text(String)
        case any
        case rest
    }

    private(set) var segments: [Segment] = []
    /// Which segments are a field's value, by the field's path.
    private(set) var parameters: [(field: String, range: Range<Int>)] = []
    private(set) var verb: String?

    /// - Throws: A ``Problem`` for a path that is none.
    init(_ text: String) throws {
        var rest = text[...]
        guard rest.popFirst() == "/" else { throw Problem(text, "it must begin with a slash") }
        // A colon after the last slash or brace begins the verb.
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains(where: { "/}".contains($0) }) {
            verb = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
            guard verb?.isEmpty == false else { throw Problem(text, "its verb is empty") }
            guard verb?.utf8.allSatisfy(Self.isPlain) == true else { throw Problem(text, "its verb is no word") }
        }
        while !rest.isEmpty {
            try readSegment(&rest, text)
            if rest.popFirst() == nil { break }
            guard !rest.isEmpty else { throw Problem(text, "it ends with a slash") }
        }
        guard !segments.isEmpty else { throw Problem(text, "it has no segments") }
        if let index = segments.firstIndex(of: .rest), index != segments.count - 1 {
            throw Problem(text, "** is not its last segment")
        }
    }

    private mutating func readSegment(_ rest: inout Substring, _ text: String) throws {
        guard rest.first == "{" else {
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            segments.append(try Self.segment(rest[..<end], text))
            rest = rest[end...]
            return
        }
        guard let end = rest.firstIndex(of: "}") else { throw Problem(text, "a { has no }") }
        let inner = rest[rest.index(after: rest.startIndex)..<end].split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        rest = rest[rest.index(after: end)...]
        guard rest.isEmpty || rest.first == "/" else { throw Problem(text, "a slash must follow }") }
        let field = String(inner[0])
        guard !field.isEmpty, !parameters.contains(where: { $0.field == field }) else {
            throw Problem(text, "\"\(field)\" is no name, or there twice")
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
            guard !part.isEmpty, part.utf8.allSatisfy(isPlain) else { throw Problem(text, "\"\(part)\" is no segment") }
            return .text(String(part))
        }
    }

    /// Whether a byte stands for itself in a path, and in the generated code.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && !"*{}\"\\?#:/%".utf8.contains(byte)
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String

        init(_ path: String, _ what: String) { description = "the path \"\(path)\" is not understood, because \(what)" }
    }
}
