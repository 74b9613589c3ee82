import ApusCore
import HTTPTypes

/// Finds the route of a request and runs its handler.
///
/// A path is matched segment by segment, each percent-decoded by itself, so that an encoded slash stays inside its
/// segment; one trailing slash does not matter. `HEAD` is answered by the `GET` route without its body, `OPTIONS` with the
/// methods there are; a known path with another method is 405 with `Allow`, an unknown one 404.
public struct Router: Sendable {
    private struct Entry: Sendable {
        let route: Route
        let pattern: RoutePattern
    }

    /// All methods of one path.
    private struct Endpoint: Sendable {
        var entries: [HTTPRequest.Method: Entry] = [:]

        var allow: String {
            var methods = Set(entries.keys.map(\.rawValue))
            methods.insert("OPTIONS")
            if methods.contains("GET") { methods.insert("HEAD") }
            return methods.sorted().joined(separator: ", ")
        }
    }

    private var trie = RouteTrie()
    private var endpoints: [Endpoint] = []

    /// Method and template of every route, in the order of their declaration.
    public private(set) var listing: [(method: String, template: String)] = []

    /// - Throws: A ``RouteProblem`` that names both places when two routes match the same paths.
    public init(_ routes: Routes) throws {
        for route in routes.all {
            let pattern = try RoutePattern(route.path, site: route.site)
            let index = trie.insert(pattern, next: endpoints.count)
            if index == endpoints.count { endpoints.append(Endpoint()) }
            if let other = endpoints[index].entries[route.method] {
                throw RouteProblem.ambiguous(
                    method: route.method.rawValue, first: other.pattern.template, other.route.site,
                    second: pattern.template, route.site)
            }
            endpoints[index].entries[route.method] = Entry(route: route, pattern: pattern)
            listing.append((route.method.rawValue, pattern.template))
        }
    }

    /// Answers a request.
    /// - Throws: An `AppError` for a path or method that is not there, and what the route throws.
    public func respond(to request: Request) async throws -> Response {
        let segments = try Self.segments(of: request.path)
        guard let index = trie.match(segments) else {
            throw AppError(.notFound, "Nothing is at \(request.path.prefix(256)).")
        }
        let endpoint = endpoints[index]
        guard let entry = Self.entry(for: request.method, in: endpoint) else {
            if request.method == .options { return Response(status: .noContent, headers: [.allow: endpoint.allow]) }
            var error = AppError(
                .unimplemented, "\(request.method.rawValue) is not allowed here; \(endpoint.allow) are.",
                reason: .methodNotAllowed)
            error.details.metadata["allow"] = endpoint.allow
            throw error
        }
        var request = request
        for (segment, value) in zip(entry.pattern.segments, segments) {
            if case .parameter(let name?) = segment { request.parameters.append(name, value) }
        }
        request.context.route = entry.pattern.template
        if let limit = entry.route.options.bodyLimit { request.body.limit = limit }
        return try await entry.route.handler(request)
    }

    private static func entry(for method: HTTPRequest.Method, in endpoint: Endpoint) -> Entry? {
        endpoint.entries[method] ?? (method == .head ? endpoint.entries[.get] : nil)
    }

    private static func segments(of path: Substring) throws -> [String] {
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw AppError(.invalidArgument, "The request target must begin with a slash.")
        }
        var parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if parts.last == "" { parts.removeLast() }
        return try parts.map { part in
            guard let decoded = PercentEncoding.decode(part) else {
                throw AppError(.invalidArgument, "The path is not valid percent-encoded UTF-8.")
            }
            return decoded
        }
    }
}
