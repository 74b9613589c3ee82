import ApusCore
import ApusHTTP
import HTTPTypes

extension Routes {
    /// Routes of HTTP with JSON, for methods that say how they are called so. Those whose paths differ in their verbs alone
    /// share one.
    func transcode(_ methods: [TranscodedMethod], limit: Int, file: String, line: Int) {
        let groups = Dictionary(grouping: methods) { Key(method: $0.rule.method, pattern: $0.rule.pattern) }
        for (key, methods) in groups {
            guard let method = HTTPRequest.Method(key.method), let first = methods.first else { continue }
            // One without a verb takes what no verb fits.
            let ordered = methods.filter { $0.rule.verb != nil } + methods.filter { $0.rule.verb == nil }
            add(method, key.pattern, file: file, line: line) { request in
                let segments = try request.pathSegments()
                for method in ordered {
                    var own = segments
                    if method.rule.matches(&own) { return try await method.respond(to: request, own) }
                }
                throw AppError(.notFound, "There is nothing at \(request.path.prefix(256)).")
            }
            .bodyLimit(limit).describe { first.describe(&$0) }
        }
    }

    private struct Key: Hashable {
        let method: String
        let pattern: String
    }
}
