import ApusCore
public import ApusJSON
import HTTPTypes

extension OpenAPI {
    /// Returns the OpenAPI 3.1 document of all routes that are not hidden.
    /// - Parameters:
    ///   - title: The name of the API.
    ///   - version: The version of the API.
    /// - Returns: The document, and the names of the types whose schemas could not be determined, see ``SchemaRegistry``.
    public static func document(
        of router: Router, title: String, version: String
    ) -> (document: JSON.Value, unknownTypes: [String]) {
        let registry = SchemaRegistry()
        var paths: JSON.Value = .object([])
        var schemes: JSON.Value = .object([])
        var ids: Set<String> = []
        for route in router.described where !route.operation.isHidden && methods.contains(route.method) {
            var item = paths[route.path] ?? .object([])
            item[route.method.rawValue.lowercased()] = operation(route, registry, &ids)
            paths[route.path] = item
            for scheme in route.operation.security { schemes[scheme.name] = scheme.value }
        }
        var components: JSON.Value = .object([])
        let schemas = registry.components.sorted { $0.key < $1.key }.map { JSON.Value.Member($0.key, $0.value) }
        if !schemas.isEmpty { components["schemas"] = .object(schemas) }
        if schemes != .object([]) { components["securitySchemes"] = schemes }
        let document: JSON.Value = [
            "openapi": "3.1.0",
            "info": ["title": .string(title), "version": .string(version)],
            "paths": paths,
            "components": components,
        ]
        return (document, registry.unknownTypes)
    }

    /// The methods that OpenAPI supports.
    private static let methods: Set<HTTPRequest.Method> = [
        .get, .put, .post, .delete, .options, .head, .patch, .trace,
    ]

    /// Returns the names of the path parameters: the text in braces at the beginning of a segment, which other text may follow.
    private static func parameterNames(_ path: String) -> [String] {
        path.split(at: "/").compactMap { segment in
            guard segment.starts(withBytesOf: "{"), let (name, _) = segment.cut(at: "}") else { return nil }
            return String(Substring(name.utf8.dropFirst()))
        }
    }

    /// Returns the operation object of a route.
    /// - Parameter ids: The operation ids in use. A number is appended to an id that is already in use.
    private static func operation(
        _ route: Router.DescribedRoute, _ registry: SchemaRegistry, _ ids: inout Set<String>
    ) -> JSON.Value {
        let (operation, path) = (route.operation, route.path)
        var value: JSON.Value = .object([])
        let id = operation.id ?? defaultID(route.method, path)
        var (unique, count) = (id, 1)
        while !ids.insert(unique).inserted {
            count += 1
            unique = "\(id)\(count)"
        }
        value["operationId"] = .string(unique)
        value["summary"] = operation.summary.map { .string($0) }
        value["description"] = operation.description.map { .string($0) }
        let tags = operation.tags.isEmpty ? [defaultTag(path)].compactMap { $0 } : operation.tags
        if !tags.isEmpty { value["tags"] = .array(tags.map { .string($0) }) }
        if operation.isDeprecated { value["deprecated"] = true }
        let parameters = parameters(operation, path, registry)
        if !parameters.isEmpty { value["parameters"] = .array(parameters) }
        if let body = operation.body {
            value["requestBody"] = ["required": true, "content": content(body, registry)]
        }
        value["responses"] = responses(operation, registry)
        if !operation.security.isEmpty {
            value["security"] = .array(operation.security.map { .object([.init($0.name, [])]) })
        }
        return value
    }

    private static func parameters(_ operation: Operation, _ path: String, _ registry: SchemaRegistry) -> [JSON.Value] {
        var all = operation.parameters
        for name in parameterNames(path) {
            guard !all.contains(where: { $0.location == .path && $0.name.isExactly(name) }) else { continue }
            all.append(Parameter(name, in: .path, schema: .of(String.self)))
        }
        var seen: Set<ExactString> = []
        return all.compactMap { parameter in
            guard seen.insert(ExactString("\(parameter.location) \(parameter.name)")).inserted else { return nil }
            var value: JSON.Value = [
                "name": .string(parameter.name), "in": .string(parameter.location.rawValue),
                "required": .bool(parameter.isRequired), "schema": parameter.schema.make(registry),
            ]
            value["description"] = parameter.description.map { .string($0) }
            return value
        }
    }

    private static func content(_ content: Content, _ registry: SchemaRegistry) -> JSON.Value {
        .object(
            content.mediaTypes.sorted { $0.key < $1.key }.map {
                .init($0.key, ["schema": $0.value.make(registry)])
            })
    }

    private static func responses(_ operation: Operation, _ registry: SchemaRegistry) -> JSON.Value {
        var members = operation.responses.sorted { $0.key < $1.key }.map { status, response in
            JSON.Value.Member(String(status), self.response(response, registry))
        }
        if let other = operation.otherResponses { members.append(.init("default", response(other, registry))) }
        return .object(members)
    }

    private static func response(_ response: Response, _ registry: SchemaRegistry) -> JSON.Value {
        var value: JSON.Value = ["description": .string(response.description)]
        if !response.headers.isEmpty {
            value["headers"] = .object(
                response.headers.sorted { $0.key < $1.key }.map {
                    .init($0.key, ["description": .string($0.value), "schema": ["type": "string"]])
                })
        }
        if let content = response.content { value["content"] = self.content(content, registry) }
        return value
    }

    /// Returns the default operation id, such as `getV1OrdersById`.
    private static func defaultID(_ method: HTTPRequest.Method, _ path: String) -> String {
        let words = path.split { !$0.isLetter && !$0.isNumber && $0 != "{" }.map { word in
            let isParameter = word.hasPrefix("{")
            let text = isParameter ? word.dropFirst() : word
            return (isParameter ? "By" : "") + text.prefix(1).uppercased() + text.dropFirst()
        }
        return method.rawValue.lowercased() + words.joined()
    }

    /// Returns the first constant path segment that is not a version.
    private static func defaultTag(_ path: String) -> String? {
        path.split(at: "/").first { segment in
            !segment.starts(withBytesOf: "{") && !(segment.first == "v" && segment.dropFirst().allSatisfy(\.isNumber))
        }.map(String.init)
    }
}
