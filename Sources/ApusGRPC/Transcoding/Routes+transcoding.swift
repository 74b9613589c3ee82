import ApusCore
import ApusHTTP
import HTTPTypes

extension Routes {
    /// Adds HTTP/JSON routes for methods with HTTP rules. Their paths are absolute. Methods whose paths differ only in their
    /// verbs share a route.
    func transcode(_ methods: [TranscodedMethod], limit: Int, file: String, line: Int) {
        for methods in Self.groups(of: methods) {
            guard let rule = methods.first?.rule, let method = HTTPRequest.Method(rule.method) else { continue }
            // A rule without a verb handles requests that match no verb.
            let ordered = methods.filter { $0.rule.verb != nil } + methods.filter { $0.rule.verb == nil }
            let route = add(method, "/" + rule.pattern, isAbsolute: true, file: file, line: line) { request in
                let path = request.rawPathSegments
                for method in ordered {
                    if let path = method.rule.match(path) { return try await method.respond(to: request, path) }
                }
                throw AppError(.notFound, "No resource at \(request.path.prefix(256)).")
            }
            route.bodyLimit(limit)
            for method in methods { route.part(method.rule.openAPIPath, method.describe) }
        }
    }

    /// Groups the methods that share a route, in declaration order. Methods that match the same requests are not grouped, so
    /// that the router reports the conflict.
    private static func groups(of methods: [TranscodedMethod]) -> [[TranscodedMethod]] {
        var groups: [[TranscodedMethod]] = []
        for method in methods {
            let index = groups.firstIndex { group in
                group.allSatisfy {
                    $0.rule.method == method.rule.method && $0.rule.shape == method.rule.shape
                        && $0.rule.requestVerb != method.rule.requestVerb
                }
            }
            if let index { groups[index].append(method) } else { groups.append([method]) }
        }
        return groups
    }
}
