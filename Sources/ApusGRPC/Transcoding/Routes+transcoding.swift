import ApusCore
import ApusHTTP
import HTTPTypes

extension Routes {
    /// Routes of HTTP with JSON, for methods that say how they are called so; their paths are those from the root on. Those
    /// whose paths differ in their verbs alone share one.
    func transcode(_ methods: [TranscodedMethod], limit: Int, file: String, line: Int) {
        for methods in Self.groups(of: methods) {
            guard let rule = methods.first?.rule, let method = HTTPRequest.Method(rule.method) else { continue }
            // One without a verb takes what no verb fits.
            let ordered = methods.filter { $0.rule.verb != nil } + methods.filter { $0.rule.verb == nil }
            let route = add(method, "/" + rule.pattern, isAbsolute: true, file: file, line: line) { request in
                let path = request.rawPathSegments
                for method in ordered {
                    if let path = method.rule.match(path) { return try await method.respond(to: request, path) }
                }
                throw AppError(.notFound, "Nothing is at \(request.path.prefix(256)).")
            }
            route.bodyLimit(limit)
            for method in methods { route.part(method.rule.openAPIPath, method.describe) }
        }
    }

    /// In their order. Two that answer the same requests are not put together: the router says so.
    private static func groups(of methods: [TranscodedMethod]) -> [[TranscodedMethod]] {
        var groups: [[TranscodedMethod]] = []
        for method in methods {
            let index = groups.firstIndex { group in
                group.allSatisfy {
                    $0.rule.method == method.rule.method && $0.rule.shape == method.rule.shape
                        && $0.rule.verbOfRequest != method.rule.verbOfRequest
                }
            }
            if let index { groups[index].append(method) } else { groups.append([method]) }
        }
        return groups
    }
}
