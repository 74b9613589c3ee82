import ApusCore
import ApusHTTP

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
        /// All that is left, one segment at least.
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

    // MARK: As a route

    /// The path as a ``Router`` takes it. A verb after what may be anything is a part of it, found when a request comes.
    var pattern: String {
        path { index, segment in
            switch segment {
            case .text(let text): text
            case .any: ":\(single(index) ?? "segment\(index + 1)")"
            case .rest: "**"
            }
        } + (isVerbOfRoute ? ":\(verb ?? "")" : "")
    }

    /// What rules have in common whose requests one route takes.
    var shape: String {
        path { _, segment in
            switch segment {
            case .text(let text): text
            case .any: "*"
            case .rest: "**"
            }
        } + (isVerbOfRoute ? ":\(verb ?? "")" : "")
    }

    /// The verb that a request is looked at for; `nil` for none, or where the route has it already.
    var verbOfRequest: String? { isVerbOfRoute ? nil : verb }

    private var isVerbOfRoute: Bool {
        guard verb != nil, case .text? = segments.last else { return false }
        return true
    }

    private func path(_ text: (Int, Segment) -> String) -> String {
        segments.enumerated().map { text($0.offset, $0.element) }.joined(separator: "/")
    }

    /// The field that is this one segment and no other.
    private func single(_ index: Int) -> String? { parameters.first { $0.value == index..<index + 1 }?.key }

    // MARK: As OpenAPI has it

    /// A part of a path that may be anything.
    struct PathParameter: Equatable {
        let name: String
        /// The field that it is, or is a part of; `nil` for what is no field's.
        let field: String?
        let isWhole: Bool
    }

    /// What the path has in braces, in order. A field of several segments has one for each that may be anything.
    var pathParameters: [PathParameter] { segments.indices.compactMap(pathParameter) }

    /// `/v1/orders/{name}:cancel`.
    var openAPIPath: String {
        let text = path { index, segment in
            if case .text(let text) = segment { text } else { "{\(pathParameter(index)?.name ?? "")}" }
        }
        return "/" + text + (verb.map { ":" + $0 } ?? "")
    }

    private func pathParameter(_ index: Int) -> PathParameter? {
        if case .text = segments[index] { return nil }
        guard let (field, range) = parameters.first(where: { $0.value.contains(index) }) else {
            return PathParameter(name: "segment\(index + 1)", field: nil, isWhole: false)
        }
        guard range.count > 1 else { return PathParameter(name: field, field: field, isWhole: true) }
        let place = segments[range.lowerBound...index].count { if case .text = $0 { false } else { true } }
        return PathParameter(name: "\(field)_\(place)", field: field, isWhole: false)
    }

    // MARK: Requests

    /// The segments of a path that its route matches, without the verb; `nil` where the verb is not there.
    /// - Parameter path: As they came.
    func match(_ path: [Substring]) -> [Substring]? {
        guard let verb, let last = path.last else { return path }
        guard last.hasSuffix(":" + verb) else { return isVerbOfRoute ? path : nil }
        let rest = last.dropLast(verb.count + 1)
        return rest.isEmpty ? nil : path.dropLast() + [rest]
    }

    /// A field's value. In one of several segments an encoded slash stays as it is, so that it is none.
    /// - Parameter path: What ``match(_:)`` returned.
    /// - Throws: An `AppError` of code `invalidArgument` when it is not valid percent-encoding.
    func value(of range: Range<Int>, in path: [Substring]) throws -> String {
        let isRest = segments.last == .rest && range.upperBound == segments.count
        let end = isRest ? path.count : min(range.upperBound, path.count)
        let parts = path[min(range.lowerBound, end)..<end]
        let isSingle = range.count == 1 && !isRest
        return try parts.map { isSingle ? try Self.decode($0) : try Self.decodeAllButSlashes($0) }
            .joined(separator: "/")
    }

    private static func decodeAllButSlashes(_ text: Substring) throws -> String {
        var (rest, decoded) = (text, "")
        while let index = rest.indices.first(where: { ["%2F", "%2f"].contains(rest[$0...].prefix(3)) }) {
            decoded += try decode(rest[..<index]) + rest[index...].prefix(3)
            rest = rest[index...].dropFirst(3)
        }
        return try decoded + decode(rest)
    }

    private static func decode(_ text: Substring) throws -> String {
        guard let text = PercentEncoding.decode(text) else {
            throw AppError(.invalidArgument, "The path is not valid percent-encoded UTF-8.")
        }
        return text
    }
}
