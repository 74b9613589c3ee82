import SwiftProtobuf
import SwiftProtobufPluginLibrary

/// What the `google.api.http` option of a method says, as code.
struct MethodRules {
    private let method: MethodDescriptor

    init(_ method: MethodDescriptor) { self.method = method }

    /// One expression for each rule; none without the option.
    /// - Throws: A ``Problem`` for an option that makes no sense.
    var expressions: [String] {
        get throws {
            guard method.options.hasGoogle_Api_http else { return [] }
            let rule = method.options.Google_Api_http
            return try ([rule] + rule.additionalBindings).map(expression)
        }
    }

    private func expression(_ rule: Google_Api_HttpRule) throws -> String {
        let (kind, path) = try pattern(of: rule)
        let template = try PathTemplate(path)
        let segments = template.segments.map { segment in
            switch segment {
            case .text(let text): ".text(\"\(text)\")"
            case .any: ".any"
            case .rest: ".rest"
            }
        }
        var arguments = ["\"\(kind)\"", "[\(segments.joined(separator: ", "))]"]
        if !template.parameters.isEmpty {
            let pairs = template.parameters.map { "\"\($0.field)\": \($0.range.lowerBound)..<\($0.range.upperBound)" }
            arguments.append("parameters: [\(pairs.joined(separator: ", "))]")
        }
        for (field, _) in template.parameters { try check(field, of: method.inputType) }
        if let verb = template.verb { arguments.append("verb: \"\(verb)\"") }
        if !rule.body.isEmpty {
            if rule.body != "*" { try check(rule.body, of: method.inputType) }
            arguments.append("body: \"\(rule.body)\"")
        }
        if !rule.responseBody.isEmpty {
            try check(rule.responseBody, of: method.outputType)
            arguments.append("responseBody: \"\(rule.responseBody)\"")
        }
        return "ApusGRPC.HTTPRule(\(arguments.joined(separator: ", ")))"
    }

    private func pattern(of rule: Google_Api_HttpRule) throws -> (kind: String, path: String) {
        switch rule.pattern {
        case .get(let path): return ("GET", path)
        case .put(let path): return ("PUT", path)
        case .post(let path): return ("POST", path)
        case .delete(let path): return ("DELETE", path)
        case .patch(let path): return ("PATCH", path)
        case .custom(let custom): return (custom.kind, custom.path)
        case nil: throw Problem(method, "it says no path")
        }
    }

    /// A field's path leads to a field.
    private func check(_ path: String, of message: Descriptor) throws {
        var message: Descriptor? = message
        for name in path.split(separator: ".", omittingEmptySubsequences: false) {
            guard let field = message?.fields.first(where: { $0.name == name }) else {
                throw Problem(method, "there is no field \(path)")
            }
            message = field.messageType
        }
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String

        init(_ method: MethodDescriptor, _ what: String) {
            description = "The google.api.http option of \(method.fullName) is not understood: \(what)."
        }
    }
}
