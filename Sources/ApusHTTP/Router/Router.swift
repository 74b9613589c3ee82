import ApusCore
import HTTPTypes

/// Finds the route of a request and runs its handler.
///
/// A path is matched segment by segment. Each segment is percent-decoded separately, so an encoded slash remains part
/// of its segment; one trailing slash is ignored. `HEAD` is answered by the `GET` route, without the body, `OPTIONS`
/// with the allowed methods, and a preflight by the ``CORS`` of the requested route. A known path with another method
/// is answered with 405 and `Allow`, an unknown path with 404.
public struct Router: Sendable {
    /// One method of one path. A class, so that it is never copied.
    private final class Entry: Sendable {
        let route: Route
        let pattern: RoutePattern
        let parameterNames: [String]

        init(route: Route, pattern: RoutePattern) {
            self.route = route
            self.pattern = pattern
            parameterNames = pattern.segments.compactMap { if case .parameter(let name?) = $0 { name } else { nil } }
        }

        /// Returns the values of the named segments, in order.
        func values(in path: PathBytes) -> [String] {
            var values: [String] = []
            values.reserveCapacity(parameterNames.count)
            var start = path.start
            for segment in pattern.segments where path.hasSegment(at: start) {
                let bytes = path.segment(at: start)
                if case .parameter(_?) = segment { values.append(String(decoding: bytes, as: UTF8.self)) }
                start += bytes.count + 1
            }
            return values
        }
    }

    /// All methods of one path. There are few, for which an array is faster than a dictionary.
    private struct Endpoint: Sendable {
        var entries: [(method: HTTPRequest.Method, entry: Entry)] = []

        /// The route that was declared with a method.
        func declared(_ method: HTTPRequest.Method) -> Entry? { entries.first { $0.method == method }?.entry }

        /// The route that answers a method: `GET` routes also answer `HEAD`.
        func entry(for method: HTTPRequest.Method) -> Entry? {
            declared(method) ?? (method == .head ? declared(.get) : nil)
        }

        /// Answers `OPTIONS`, for a preflight through the CORS middleware of the requested route.
        func answerOptions(_ request: Request, _ response: Response) async -> Response {
            let method = request.headers[.accessControlRequestMethod].flatMap { HTTPRequest.Method($0) }
            let crossOrigin = method.flatMap(entry(for:))?.route.crossOrigin ?? []
            return await chain(crossOrigin) { _ in response }(request)
        }

        /// The value of the `Allow` field.
        var allow: String {
            var methods = Set(entries.map(\.method.rawValue))
            methods.insert("OPTIONS")
            if methods.contains("GET") { methods.insert("HEAD") }
            return methods.sorted().joined(separator: ", ")
        }
    }

    private let trie: RouteTrie
    private var endpoints: [Endpoint] = []

    /// The method and the template of every route, in the order of declaration.
    public private(set) var listing: [(method: String, template: String)] = []

    /// A route in the API description.
    struct DescribedRoute: Sendable {
        let method: HTTPRequest.Method
        /// The path in OpenAPI syntax: `/v1/orders/{id}`.
        let path: String
        let operation: OpenAPI.Operation
    }

    private(set) var described: [DescribedRoute] = []

    /// Creates a router.
    /// - Throws: The first ``RouteError``, such as one with the locations of two routes that match the same paths.
    public init(_ routes: Routes) throws {
        var problems: [RouteError] = []
        self.init(routes, &problems)
        if let problem = problems.first { throw problem }
    }

    /// Creates a router without the routes that cannot be served.
    /// - Parameter problems: Receives all problems of the routes.
    package init(_ routes: Routes, _ problems: inout [RouteError]) {
        var trie = RouteTrie.Builder()
        var ruleProblems: Set<String> = []
        for route in routes.all {
            if let problem = route.problem {
                problems.append(problem)
                continue
            }
            let pattern: RoutePattern
            do throws(RouteError) { pattern = try RoutePattern(route.path, site: route.site) } catch {
                problems.append(error)
                continue
            }
            let names = pattern.parameterNames
            for parameter in route.operation.parameters where parameter.location == .path && route.parts.isEmpty {
                guard !names.containsExactly(parameter.name) else { continue }
                problems.append(.missingParameter(parameter.name, pattern.template, route.site))
            }
            // Each once, although several routes may validate the same type.
            for problem in route.operation.ruleProblems where ruleProblems.insert(problem).inserted {
                problems.append(.invalidRule(problem, route.site))
            }
            let index = trie.insert(pattern, next: endpoints.count)
            if index == endpoints.count { endpoints.append(Endpoint()) }
            if let other = endpoints[index].declared(route.method) {
                problems.append(
                    .ambiguous(
                        method: route.method.rawValue, first: other.pattern.template, other.route.site,
                        second: pattern.template, route.site))
                continue
            }
            endpoints[index].entries.append((route.method, Entry(route: route, pattern: pattern)))
            listing.append((route.method.rawValue, pattern.template))
            let parts = route.parts.isEmpty ? [(pattern.openAPIPath, route.operation)] : route.parts
            described += parts.map { DescribedRoute(method: route.method, path: $0.0, operation: $0.1) }
        }
        self.trie = RouteTrie(trie)
    }

    /// Responds to a request. An error that the route throws, an unknown path and a method that is not allowed result
    /// in an error response.
    public func respond(to request: Request) async -> Response {
        let match: Match
        do { match = try find(request) } catch { return Response(error: error) }
        switch match {
        case .notFound:
            return Response(error: AppError(.notFound, "No route matches \(request.path.prefix(256))."))
        case .server: return Response(status: .noContent)
        case .otherMethods(let endpoint):
            let allow = endpoint.allow
            if request.method == .options {
                return await endpoint.answerOptions(request, Response(status: .noContent, headers: [.allow: allow]))
            }
            var error = AppError(
                .unimplemented, "\(request.method.rawValue) is not allowed here. Allowed methods: \(allow).",
                reason: .methodNotAllowed)
            error.details.metadata["allow"] = allow
            return Response(error: error)
        case .route(let entry):
            request.context.route = entry.pattern.template
            var request = request
            if let limit = entry.route.bodyLimit {
                request.body.limit = limit
                request.body.isRouteLimit = true
            }
            // Errors are caught here rather than by the handler, which saves a call where there is no middleware.
            do { return try await entry.route.handler(request) } catch { return Response(error: error) }
        }
    }

    private enum Match {
        case route(Entry)
        case otherMethods(Endpoint)
        case notFound
        /// The target is not a path: the request applies to the server itself (RFC 9110 §9.3.7).
        case server
    }

    /// Finds the route, and stores the values of its parameters in the context.
    private func find(_ request: Request) throws -> Match {
        if request.target == "*", request.method == .options { return .server }
        return try PathBytes.with(request.target) { path in
            guard let index = trie.match(path) else { return .notFound }
            guard let entry = endpoints[index].entry(for: request.method) else {
                return .otherMethods(endpoints[index])
            }
            if !entry.parameterNames.isEmpty {
                request.context.parameters = PathParameters(names: entry.parameterNames, values: entry.values(in: path))
            }
            return .route(entry)
        }
    }
}
