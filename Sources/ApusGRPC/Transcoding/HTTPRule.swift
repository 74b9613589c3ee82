/// How a method is called over HTTP with JSON: what its `google.api.http` option says.
///
/// Code that `protoc-gen-apus` makes uses this; there is nothing to write by hand.
public struct HTTPRule: Sendable {
    /// A part of a path between slashes.
    public enum Segment: Sendable, Equatable {
        /// Exactly this.
        case text(String)
        /// Any one segment.
        case any
        /// All that is left.
        case rest
    }

    let method: String
    let segments: [Segment]
    /// Which segments a field's value is, by the field's path, such as `order.id`.
    let parameters: [String: Range<Int>]
    /// What follows the path after a colon.
    let verb: String?
    /// The field that the body is: `*` for all that the path does not say, nothing for none.
    let body: String
    /// The field of the answer that is sent; nothing for the whole answer.
    let responseBody: String

    public init(
        _ method: String, _ segments: [Segment], parameters: [String: Range<Int>] = [:], verb: String? = nil,
        body: String = "", responseBody: String = ""
    ) {
        self.method = method
        self.segments = segments
        self.parameters = parameters
        self.verb = verb
        self.body = body
        self.responseBody = responseBody
    }

    /// The path as a ``Router`` takes it. A verb after what may be anything is a part of it, found when a request comes.
    var pattern: String {
        var parts = segments.enumerated().map { index, segment in
            switch segment {
            case .text(let text): text
            case .any: ":\(name(of: index))"
            case .rest: "**"
            }
        }
        if let verb, case .text? = segments.last { parts[parts.count - 1] += ":" + verb }
        return parts.joined(separator: "/")
    }

    /// What routes call a segment: its field, if it is one by itself.
    private func name(of index: Int) -> String {
        parameters.first { $0.value == index..<index + 1 }?.key ?? "segment\(index)"
    }

    /// Whether it answers a path that its pattern matches.
    /// - Parameter segments: Those of the request; a verb is taken off the last one.
    func matches(_ segments: inout [String]) -> Bool {
        guard let verb, self.segments.last != nil else { return true }
        if case .text? = self.segments.last { return true }
        guard let last = segments.last, last.hasSuffix(":" + verb) else { return false }
        segments[segments.count - 1] = String(last.dropLast(verb.utf8.count + 1))
        return true
    }
}
