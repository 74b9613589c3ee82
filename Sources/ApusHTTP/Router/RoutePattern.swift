import ApusCore

/// The parsed path of a route: constants, `:name`, `*` and `**`.
struct RoutePattern: Sendable {
    enum Segment: Sendable, Equatable {
        /// Exactly this text.
        case constant(String)
        /// Any one segment, with the name of the parameter; `nil` for `*`.
        case parameter(String?)
        /// All remaining segments, at least one.
        case rest
    }

    let segments: [Segment]

    /// The normalized text of the pattern, with one leading slash and no trailing slash.
    let template: String

    /// Parses a pattern.
    /// - Throws: A ``RouteError`` if the pattern is invalid.
    init(_ text: String, site: SourceLocation) throws(RouteError) {
        let parts = text.split(at: "/")
        var names: Set<ExactString> = []
        var segments: [Segment] = []
        for (index, part) in parts.enumerated() {
            switch part {
            case "**":
                guard index == parts.count - 1 else { throw RouteError.restNotLast(text, site) }
                segments.append(.rest)
            case "*": segments.append(.parameter(nil))
            case _ where part.starts(withBytesOf: ":"):
                let name = String(Substring(part.utf8.dropFirst()))
                guard !name.isEmpty else { throw RouteError.namelessParameter(text, site) }
                guard names.insert(ExactString(name)).inserted else {
                    throw RouteError.repeatedParameter(name, text, site)
                }
                segments.append(.parameter(name))
            default: segments.append(.constant(String(part)))
            }
        }
        self.segments = segments
        template = "/" + parts.joined(separator: "/")
    }

    /// The pattern in OpenAPI syntax: `/v1/orders/{id}`. Segments without a name are named after their position.
    var openAPIPath: String {
        let parts = zip(segments, describedNames).map { segment, name in
            if case .constant(let text) = segment { return text.replacing(["{": "%7B", "}": "%7D"]) }
            return "{\(name ?? "")}"
        }
        return "/" + parts.joined(separator: "/")
    }

    /// The names of the parameters in the API description, which inputs may read.
    var parameterNames: [String] { describedNames.compactMap { $0 } }

    /// The name of each segment in the API description; `nil` for constants. A generated name that the pattern also
    /// declares gets underscores.
    private var describedNames: [String?] {
        var used: Set<ExactString> = []
        for case .parameter(let name?) in segments { used.insert(ExactString(name)) }
        var names: [String?] = []
        for (index, segment) in segments.enumerated() {
            switch segment {
            case .constant: names.append(nil)
            case .parameter(let name?): names.append(name)
            case .parameter(nil): names.append(Self.unused("segment\(index + 1)", &used))
            case .rest: names.append(Self.unused("rest", &used))
            }
        }
        return names
    }

    private static func unused(_ name: String, _ used: inout Set<ExactString>) -> String {
        var name = name
        while !used.insert(ExactString(name)).inserted { name += "_" }
        return name
    }
}

/// The source location of a route declaration.
public struct SourceLocation: Sendable, CustomStringConvertible {
    let file: String
    let line: Int

    /// `file:line`.
    public var description: String { "\(file):\(line)" }
}

/// A reason why a set of routes cannot be served.
public enum RouteError: Error, CustomStringConvertible {
    /// Two routes of the same method whose paths are equal or differ only in parameter names.
    case ambiguous(method: String, first: String, SourceLocation, second: String, SourceLocation)
    /// A `**` that is not the last segment.
    case restNotLast(String, SourceLocation)
    /// A `:` without a name.
    case namelessParameter(String, SourceLocation)
    /// A parameter name that occurs twice in a path.
    case repeatedParameter(String, String, SourceLocation)
    /// An input that reads a segment that the path does not have.
    case missingParameter(String, String, SourceLocation)
    /// An ``Endpoint``, whose path is absolute, in a group with a path.
    case endpointInGroup(String, prefix: String, SourceLocation)
    /// A directory of files that does not exist.
    case missingFolder(String, SourceLocation)
    /// A validation rule of a body that cannot be checked, described in a sentence.
    case invalidRule(String, SourceLocation)

    public var description: String {
        switch self {
        case .ambiguous(let method, let first, let firstSite, let second, let secondSite):
            "\(method) \(second) at \(secondSite) matches the same paths as \(method) \(first) at \(firstSite)."
        case .restNotLast(let path, let site): "** must be the last segment of \(path) at \(site)."
        case .namelessParameter(let path, let site): "A ':' in \(path) at \(site) must be followed by a name."
        case .repeatedParameter(let name, let path, let site): ":\(name) occurs twice in \(path) at \(site)."
        case .missingParameter(let name, let path, let site):
            "The input Path(\"\(name)\") at \(site) requires a segment :\(name), which \(path) does not have."
        case .endpointInGroup(let path, let prefix, let site):
            "The endpoint at \(site) has an absolute path: remove its group's prefix \(prefix), which changes it to \(path)."
        case .missingFolder(let path, let site):
            "The folder \(path), whose files are declared at \(site), does not exist or is not a folder."
        case .invalidRule(let problem, let site): "\(problem) The rule validates a body at \(site)."
        }
    }
}
