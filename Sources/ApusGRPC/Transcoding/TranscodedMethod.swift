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

    /// - Parameter path: The segments of the request's path as they came, without the rule's verb.
    func respond(to request: Request, _ path: [Substring]) async throws -> Response {
        let input = try await input(request, path)
        let call = GRPCCall(request, isCompressing: false)
        let metadata = try metadata(request)
        let answer = try await handler.run(call, within: nil) { try await direct.callJSON(input, metadata, $0) }
        var response = Response(
            status: .ok, headers: [.contentType: "application/json"], body: .bytes(try part(of: answer.message)))
        response.headers.add(answer.metadata)
        response.headers.add(answer.trailingMetadata)
        return response
    }

    private func metadata(_ request: Request) throws -> Metadata {
        do {
            return try Metadata(request.headers)
        } catch let error as AppError {
            // What is malformed is the client's fault, and says so by HTTP's own means.
            throw AppError(.invalidArgument, error.message)
        }
    }

    /// The message as JSON: of the body, the query and the path; what the path says counts most.
    private func input(_ request: Request, _ path: [Substring]) async throws -> ByteBuffer {
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
        for (fields, texts) in values(of: query) { try shapes.set(texts, at: fields, in: &tree) }
        for (name, range) in rule.parameters {
            guard let fields = shapes.fields(at: name, of: direct.inputName) else { continue }
            try shapes.set([rule.value(of: range, in: path)], at: fields, in: &tree)
        }
        return try JSONCoding.encode(tree)
    }

    /// The values of fields that a query gives, by either of their names, in order. What is no field may be meant for somebody
    /// else; what the body is does not come by the query.
    private func values(of query: [(name: String, value: String)]) -> [(fields: [MessageShapes.Field], texts: [String])]
    {
        var values: [(fields: [MessageShapes.Field], texts: [String])] = []
        var places: [[String]: Int] = [:]
        let bodyName = shapes.field(rule.body, of: direct.inputName)?.jsonName
        for (name, text) in query {
            guard let fields = shapes.fields(at: name, of: direct.inputName), fields.first?.jsonName != bodyName else {
                continue
            }
            let path = fields.map(\.jsonName)
            if let place = places[path] {
                values[place].texts.append(text)
            } else {
                places[path] = values.count
                values.append((fields, [text]))
            }
        }
        return values
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
        let service = String(handler.method.service.fullyQualifiedService.split(separator: ".").last ?? "")
        operation.id = service + "_" + direct.name
        operation.tags = [service]
        for parameter in rule.pathParameters { describe(parameter, &operation) }
        if !rule.body.isEmpty {
            let schema =
                shapes.field(rule.body, of: direct.inputName).map(shapes.schema)
                ?? shapes.schema(of: direct.inputName)
            operation.body = .init(["application/json": schema])
            operation.mayFail(.unsupportedMediaType, "The body is of another media type.")
        }
        if rule.body != "*" { describeQuery(&operation) }
        operation.mayFail(.badRequest, "The request cannot be read as \(direct.inputName).")
        let answer =
            shapes.field(rule.responseBody, of: direct.outputName).map(shapes.schema)
            ?? shapes.schema(of: direct.outputName)
        operation.responses[200] = .init("The answer.", content: .init(["application/json": answer]))
    }

    private func describe(_ parameter: HTTPRule.PathParameter, _ operation: inout OpenAPI.Operation) {
        let field = parameter.field.flatMap { shapes.fields(at: $0, of: direct.inputName)?.last }
        let isField = parameter.isWhole && field != nil
        operation.parameters.append(
            .init(
                parameter.name, in: .path, schema: isField ? field.map(shapes.schema) ?? .any : .of(String.self),
                description: isField ? nil : parameter.field.map { "A part of `\($0)`." }))
    }

    private func describeQuery(_ operation: inout OpenAPI.Operation) {
        for field in shapes.messages[direct.inputName] ?? [] where field.name != rule.body {
            if case .message(let name) = field.kind, !MessageShapes.isText(name) { continue }
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
    /// What stands for a field that is not there.
    fileprivate func empty(_ field: Field) -> JSON.Value {
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
