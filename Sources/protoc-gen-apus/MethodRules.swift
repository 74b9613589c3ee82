import SwiftProtobuf
import SwiftProtobufPluginLibrary

/// The HTTP rules of a method, generated from its `google.api.http` option.
struct MethodRules {
    private let method: MethodDescriptor

    init(_ method: MethodDescriptor) { self.method = method }

    /// One Swift expression per rule; none without the option.
    /// - Throws: A ``Problem`` for an invalid option.
    var expressions: [String] {
        get throws {
            guard method.options.hasGoogle_Api_http else { return [] }
            let rule = method.options.Google_Api_http
            guard rule.additionalBindings.allSatisfy(\.additionalBindings.isEmpty) else {
                throw Problem(method, "additional bindings must not be nested")
            }
            return try ([rule] + rule.additionalBindings).map(expression)
        }
    }

    private func expression(_ rule: Google_Api_HttpRule) throws -> String {
        let (kind, path) = try pattern(of: rule)
        let template: PathTemplate
        do { template = try PathTemplate(path) } catch { throw Problem(method, "\(error)") }
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
        for (field, _) in template.parameters { try check(parameter: field) }
        if let verb = template.verb { arguments.append("verb: \"\(verb)\"") }
        if !rule.body.isEmpty {
            if rule.body != "*" { try check(rule.body, isField: method.inputType) }
            arguments.append("body: \"\(rule.body)\"")
        }
        if !rule.responseBody.isEmpty {
            try check(rule.responseBody, isField: method.outputType)
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
        case .custom(let custom):
            // The kind `*`, for any method, is not supported.
            guard !custom.kind.isEmpty, custom.kind.utf8.allSatisfy({ $0 >= 0x41 && $0 <= 0x5A || $0 == 0x2D }) else {
                throw Problem(method, "the custom kind \"\(custom.kind)\" must be an HTTP method in uppercase")
            }
            return (custom.kind, custom.path)
        case nil: throw Problem(method, "it has no pattern, such as get or post")
        }
    }

    private func check(_ name: String, isField message: Descriptor) throws {
        guard message.fields.contains(where: { $0.name == name }) else {
            throw Problem(method, "\(message.name) has no field \"\(name)\"")
        }
    }

    /// Checks that a path parameter refers to a singular field with a text representation.
    private func check(parameter path: String) throws {
        var message: Descriptor? = method.inputType
        var last: FieldDescriptor?
        for name in path.split(separator: ".", omittingEmptySubsequences: false) {
            guard let field = message?.fields.first(where: { $0.name == name }) else {
                throw Problem(method, "\(method.inputType.name) has no field \"\(path)\"")
            }
            guard !field.isRepeated else {
                throw Problem(method, "the path parameter \"\(path)\" refers to a repeated field")
            }
            message = field.messageType
            last = field
        }
        if let message = last?.messageType, !message.fullName.hasPrefix("google.protobuf.") {
            throw Problem(method, "the path parameter \"\(path)\" refers to a message")
        }
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String

        init(_ method: MethodDescriptor, _ reason: String) {
            description = "Invalid google.api.http option of \(method.fullName): \(reason)."
        }
    }
}
