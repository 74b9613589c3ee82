import ApusCore
import ApusHTTP
import ApusJSON
import GRPCCore
import HTTPTypes
import NIOCore

/// Answers calls of a method that come over HTTP with JSON, by one of its rules.
struct TranscodedMethod: Sendable {
    let rule: HTTPRule
    let direct: DirectMethod
    let handler: MethodHandler
    let shapes: MessageShapes

    /// - Parameter segments: Those of the request's path, decoded, without the rule's verb.
    func respond(to request: Request, _ segments: [String]) async throws -> Response {
        let input = try await input(request, segments)
        let metadata = try Metadata(request.headers)
        let call = GRPCCall(request, isCompressing: false)
        let answer = try await handler.run(call, within: nil) { try await direct.callJSON(input, metadata, $0) }
        var response = Response(
            status: .ok, headers: [.contentType: "application/json"], body: .bytes(try part(of: answer.message)))
        response.headers.add(answer.metadata)
        return response
    }

    /// The message as JSON: of the body, the query and the path; what the path says counts most.
    private func input(_ request: Request, _ segments: [String]) async throws -> ByteBuffer {
        let body = rule.body.isEmpty ? ByteBuffer() : try await json(request)
        let query = rule.body == "*" ? [] : try request.queryItems()
        guard !rule.parameters.isEmpty || !query.isEmpty || rule.body != "*" else { return body }
        var tree: JSON.Value = .object([])
        if rule.body == "*" {
            tree = try JSONCoding.decode(JSON.Value.self, from: body)
            guard case .object = tree else { throw AppError(.invalidArgument, "The body must be an object.") }
        } else if let field = shapes.field(rule.body, of: direct.inputName) {
            tree[field.jsonName] = try JSONCoding.decode(JSON.Value.self, from: body)
        }
        for (name, items) in Dictionary(grouping: query, by: \.name) where rule.parameters[name] == nil {
            // What is not known may be meant for somebody else.
            _ = try shapes.set(items.map(\.value), at: name, of: direct.inputName, in: &tree)
        }
        for (path, range) in rule.parameters {
            let end =
                rule.segments.last == .rest && range.upperBound == rule.segments.count
                ? segments.count : range.upperBound
            let text = segments[min(range.lowerBound, end)..<min(end, segments.count)].joined(separator: "/")
            _ = try shapes.set([text], at: path, of: direct.inputName, in: &tree)
        }
        return try JSONCoding.encode(tree)
    }

    private func json(_ request: Request) async throws -> ByteBuffer {
        let body = try await request.body.collect()
        // Nothing is the message without fields.
        guard body.readableBytes > 0 else { return ByteBuffer(string: "{}") }
        guard let type = request.headers[.contentType].flatMap(MediaType.init), BodyFormat.json.reads(type) else {
            throw AppError(
                .invalidArgument, "The Content-Type must be application/json.", reason: .unsupportedMediaType)
        }
        return body
    }

    private func part(of answer: ByteBuffer) throws -> ByteBuffer {
        guard let field = shapes.field(rule.responseBody, of: direct.outputName) else { return answer }
        let tree = try JSONCoding.decode(JSON.Value.self, from: answer)
        return try JSONCoding.encode(tree[field.jsonName] ?? shapes.empty(field))
    }

    // MARK: Its description

    func describe(_ operation: inout OpenAPI.Operation) {
        operation.id = direct.name
        operation.tags = [String(handler.method.service.fullyQualifiedService.split(separator: ".").last ?? "")]
        for path in rule.parameters.keys.sorted() {
            operation.parameters.append(
                .init(path, in: .path, schema: .literal(field(path).map(shapes.schema) ?? ["type": "string"])))
        }
        if !rule.body.isEmpty {
            let schema =
                rule.body == "*"
                ? shapes.schema(of: direct.inputName) : field(rule.body).map(shapes.schema) ?? .object([])
            operation.body = .init(["application/json": .literal(schema)])
            operation.mayFail(.unsupportedMediaType, "The body is of another media type.")
        }
        if rule.body != "*" { describeQuery(&operation) }
        operation.mayFail(.badRequest, "The request cannot be read as \(direct.inputName).")
        let answer =
            shapes.field(rule.responseBody, of: direct.outputName).map(shapes.schema)
            ?? shapes.schema(of: direct.outputName)
        operation.responses[200] = .init("The answer.", content: .init(["application/json": .literal(answer)]))
    }

    private func describeQuery(_ operation: inout OpenAPI.Operation) {
        for field in shapes.messages[direct.inputName] ?? [] where field.name != rule.body {
            if case .message(let name) = field.kind, !MessageShapes.textual.contains(name) { continue }
            guard rule.parameters[field.name] == nil else { continue }
            operation.parameters.append(
                .init(field.jsonName, in: .query, isRequired: false, schema: .literal(shapes.schema(of: field))))
        }
    }

    private func field(_ path: String) -> MessageShapes.Field? {
        var message = direct.inputName
        var found: MessageShapes.Field?
        for name in path.split(separator: ".") {
            found = shapes.field(name, of: message)
            if case .message(let inner)? = found?.kind { message = inner }
        }
        return found
    }
}

extension MessageShapes {
    /// What stands for a field that is not there.
    fileprivate func empty(_ field: Field) -> JSON.Value {
        if field.isRepeated { return .array([]) }
        return switch field.kind {
        case .bool: .bool(false)
        case .integer, .number: .integer(0)
        case .longInteger: .string("0")
        case .string, .bytes: .string("")
        case .enumeration(let name): .string(enumerations[name]?.first ?? "")
        case .message: .object([])
        }
    }
}
