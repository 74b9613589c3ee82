import ApusCore

/// A route's path, read: constants, `:name`, `*` and `**`.
struct RoutePattern: Sendable {
    enum Segment: Sendable, Equatable {
        /// Exactly this text.
        case constant(String)
        /// Any one segment, kept under a name; nameless for `*`.
        case parameter(String?)
        /// All that is left, one segment at least.
        case rest
    }

    let segments: [Segment]

    /// The pattern as it is shown: with one leading slash and none at the end.
    let template: String

    /// - Throws: A ``RouteProblem`` when the pattern makes no sense.
    init(_ text: String, site: RouteSite) throws(RouteProblem) {
        let parts = text.split(at: "/")
        var names: Set<ExactString> = []
        var segments: [Segment] = []
        for (index, part) in parts.enumerated() {
            switch part {
            case "**":
                guard index == parts.count - 1 else { throw RouteProblem.restNotLast(text, site) }
                segments.append(.rest)
            case "*": segments.append(.parameter(nil))
            case _ where part.starts(withBytesOf: ":"):
                let name = String(Substring(part.utf8.dropFirst()))
                guard !name.isEmpty else { throw RouteProblem.namelessParameter(text, site) }
                guard names.insert(ExactString(name)).inserted else {
                    throw RouteProblem.repeatedParameter(name, text, site)
                }
                segments.append(.parameter(name))
            default: segments.append(.constant(String(part)))
            }
        }
        self.segments = segments
        template = "/" + parts.joined(separator: "/")
    }

    /// The pattern as OpenAPI has it: `/v1/orders/{id}`. What has no name is called by its place.
    var openAPIPath: String {
        let parts = segments.enumerated().map { index, segment in
            switch segment {
            case .constant(let text): text
            case .parameter(let name): "{\(name ?? "segment\(index + 1)")}"
            case .rest: "{rest}"
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    /// The names that inputs may read, as documents have them.
    var parameterNames: [String] {
        segments.enumerated().compactMap { index, segment in
            switch segment {
            case .constant: nil
            case .parameter(let name): name ?? "segment\(index + 1)"
            case .rest: "rest"
            }
        }
    }

    /// What two patterns have in common exactly when they match the same paths with the same precedence.
    var shape: String {
        segments.map { segment in
            switch segment {
            case .constant(let text): "/=\(text)"
            case .parameter: "/*"
            case .rest: "/**"
            }
        }.joined()
    }
}

/// Where in the source a route was declared.
public struct RouteSite: Sendable, CustomStringConvertible {
    let file: String
    let line: Int

    /// `file:line`.
    public var description: String { "\(file):\(line)" }
}

/// Why a set of routes cannot be served.
public enum RouteProblem: Error, CustomStringConvertible {
    /// The same method and path twice, or two that differ in parameter names alone.
    case ambiguous(method: String, first: String, RouteSite, second: String, RouteSite)
    /// `**` before the end.
    case restNotLast(String, RouteSite)
    /// A `:` without a name.
    case namelessParameter(String, RouteSite)
    /// The same name twice in a path.
    case repeatedParameter(String, String, RouteSite)
    /// An input that reads a segment which the path does not have.
    case missingParameter(String, String, RouteSite)
    /// An ``Endpoint``, whose path is the whole one, in a group with a path.
    case endpointInGroup(String, prefix: String, RouteSite)

    public var description: String {
        switch self {
        case .ambiguous(let method, let first, let firstSite, let second, let secondSite):
            "\(method) \(second) at \(secondSite) matches the same paths as \(method) \(first) at \(firstSite)."
        case .restNotLast(let path, let site): "** must be the last segment of \(path) at \(site)."
        case .namelessParameter(let path, let site): "A ':' in \(path) at \(site) has no name after it."
        case .repeatedParameter(let name, let path, let site): ":\(name) is there twice in \(path) at \(site)."
        case .missingParameter(let name, let path, let site):
            "The input Path(\"\(name)\") at \(site) has no segment :\(name) in \(path)."
        case .endpointInGroup(let path, let prefix, let site):
            "The endpoint at \(site) has a whole path, and would come to be at \(path): take \(prefix) off its group."
        }
    }
}
