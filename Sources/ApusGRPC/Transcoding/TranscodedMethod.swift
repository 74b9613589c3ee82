import ApusCore
import ApusHTTP
import ApusJSON
import GRPCCore
import HTTPTypes
import NIOCore

/// Handles HTTP/JSON calls of a method by one of its rules.
struct TranscodedMethod: Sendable {
    let rule: HTTPRule
    let direct: DirectMethod
    let handler: MethodHandler
    let shapes: MessageShapes

    /// - Parameter path: The segments of the request path, still percent-encoded and without the rule's verb.
    func respond(to request: Request, _ path: [Substring]) async throws -> Response {
        let input = try await input(request, path)
        let call = GRPCCall(request, isCompressing: false)
        let metadata = try Metadata(request.headers)
        let answer = try await handler.run(call, within: nil) { try await direct.callJSON(input, metadata, $0) }
        var response = Response(
            status: .ok, headers: [.contentType: "application/json"], body: .bytes(try part(of: answer.message)))
        response.headers.add(answer.metadata)
        response.headers.add(answer.trailingMetadata)
        return response
    }

    /// Returns the JSON message assembled from the body, the query and the path. The path takes precedence.
    private func input(_ request: Request, _ path: [Substring]) async throws -> ByteBuffer {
        let body = rule.body.isEmpty ? ByteBuffer() : try await json(request)
        let query = rule.body == "*" ? [] : try request.queryItems()
        guard !rule.parameters.isEmpty || !query.isEmpty || rule.body != "*" else { return body }
        var tree: JSON.Value = .object([])
        if rule.body == "*" {
            tree = try JSONCoding.decode(JSON.Value.self, from: body)
            guard case .object = tree else { throw AppError(.invalidArgument, "The body must be a JSON object.") }
        } else if let field = shapes.field(rule.body, of: direct.inputName) {
            tree[field.jsonName] = try JSONCoding.decode(JSON.Value.self, from: body)
        }
        for (fields, texts) in values(of: query) { try shapes.set(texts, at: fields, in: &tree) }
        for (name, range) in rule.parameters {
            guard let fields = shapes.fields(at: name, of: direct.inputName) else { continue }
            try shapes.set([rule.value(of: name, range, in: path)], at: fields, in: &tree)
        }
        return try JSONCoding.encode(tree)
    }

    /// Returns the field values in a query, in order of first occurrence; fields can have their proto or JSON name. Parameters
    /// that are not fields, or that belong to the field that the body maps to, are ignored.
    private func values(of query: [(name: String, value: String)]) -> [(fields: [MessageShapes.Field], texts: [String])]
    {
        var values: [(fields: [MessageShapes.Field], texts: [String])] = []
        var indices: [[String]: Int] = [:]
        let bodyName = shapes.field(rule.body, of: direct.inputName)?.jsonName
        for (name, text) in query {
            guard let fields = shapes.fields(at: name, of: direct.inputName), fields.first?.jsonName != bodyName else {
                continue
            }
            let path = fields.map(\.jsonName)
            if let index = indices[path] {
                values[index].texts.append(text)
            } else {
                indices[path] = values.count
                values.append((fields, [text]))
            }
        }
        return values
    }

    private func json(_ request: Request) async throws -> ByteBuffer {
        let body = try await request.body.collect()
        // An empty body is an empty message.
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
        return try JSONCoding.encode(tree[field.jsonName] ?? shapes.defaultValue(of: field))
    }

    // MARK: OpenAPI

    func describe(_ operation: inout OpenAPI.Operation) {
        let service = String(handler.method.service.fullyQualifiedService.split(separator: ".").last ?? "")
        operation.id = service + "_" + direct.name
        operation.tags = [service]
        for parameter in rule.pathParameters { describe(parameter, &operation) }
        if !rule.body.isEmpty {
            let schema =
                shapes.field(rule.body, of: direct.inputName).map(shapes.schema)
                ?? shapes.schema(of: direct.inputName)
            operation.body = .init(["application/json": schema])
            operation.addErrorResponse(.unsupportedMediaType, "The media type of the body is not supported.")
        }
        if rule.body != "*" { describeQuery(&operation) }
        operation.addErrorResponse(.badRequest, "The request could not be decoded as \(direct.inputName).")
        let answer =
            shapes.field(rule.responseBody, of: direct.outputName).map(shapes.schema)
            ?? shapes.schema(of: direct.outputName)
        operation.responses[200] = .init("Success.", content: .init(["application/json": answer]))
    }

    private func describe(_ parameter: HTTPRule.PathParameter, _ operation: inout OpenAPI.Operation) {
        let field = parameter.field.flatMap { shapes.fields(at: $0, of: direct.inputName)?.last }
        let isField = parameter.isWholeField && field != nil
        operation.parameters.append(
            .init(
                parameter.name, in: .path, schema: isField ? field.map(shapes.schema) ?? .any : .of(String.self),
                description: isField ? nil : parameter.field.map { "Part of `\($0)`." }))
    }

    private func describeQuery(_ operation: inout OpenAPI.Operation) {
        for field in shapes.messages[direct.inputName] ?? [] where field.name != rule.body {
            if case .message(let name) = field.kind, !MessageShapes.isScalar(name) { continue }
            guard rule.parameters[field.name] == nil else { continue }
            operation.parameters.append(
                .init(field.jsonName, in: .query, isRequired: false, schema: shapes.schema(of: field)))
        }
    }
}

extension OpenAPI.Schema {
    fileprivate static let any = OpenAPI.Schema.literal(.object([]))
}

extension MessageShapes {
    /// Returns the JSON value of a field that is not set.
    fileprivate func defaultValue(of field: Field) -> JSON.Value {
        if mapValues(of: field) != nil { return .object([]) }
        if field.isRepeated { return .array([]) }
        return switch field.kind {
        case .bool: .bool(false)
        case .integer, .number: .integer(0)
        case .longInteger: .string("0")
        case .string, .bytes: .string("")
        case .enumeration(let name): .string(enumerations[name]?.first ?? "")
        case .message: .null
        }
    }
}
