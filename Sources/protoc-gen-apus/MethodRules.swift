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
            guard rule.additionalBindings.allSatisfy(\.additionalBindings.isEmpty) else {
                throw Problem(method, "an additional binding has bindings of its own")
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
            // As HTTP has methods; `*`, for any, is none.
            guard !custom.kind.isEmpty, custom.kind.utf8.allSatisfy({ $0 >= 0x41 && $0 <= 0x5A || $0 == 0x2D }) else {
                throw Problem(method, "the kind \"\(custom.kind)\" is no method of HTTP: capital letters are")
            }
            return (custom.kind, custom.path)
        case nil: throw Problem(method, "it says no path")
        }
    }

    private func check(_ name: String, isField message: Descriptor) throws {
        guard message.fields.contains(where: { $0.name == name }) else {
            throw Problem(method, "\(message.name) has no field \(name)")
        }
    }

    /// A parameter of the path leads to a field of one value that text can be.
    private func check(parameter path: String) throws {
        var message: Descriptor? = method.inputType
        var last: FieldDescriptor?
        for name in path.split(separator: ".", omittingEmptySubsequences: false) {
            guard let field = message?.fields.first(where: { $0.name == name }) else {
                throw Problem(method, "\(method.inputType.name) has no field \(path)")
            }
            guard !field.isRepeated else { throw Problem(method, "\(path) has several values") }
            message = field.messageType
            last = field
        }
        if let message = last?.messageType, !message.fullName.hasPrefix("google.protobuf.") {
            throw Problem(method, "\(path) is a message")
        }
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String

        init(_ method: MethodDescriptor, _ what: String) {
            description = "The google.api.http option of \(method.fullName) is not understood: \(what)."
        }
    }
}
