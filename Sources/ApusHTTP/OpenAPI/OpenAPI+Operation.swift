public import ApusJSON
public import HTTPTypes

extension OpenAPI {
    /// The description of one route: its inputs and its responses.
    public struct Operation: Sendable {
        /// The method of the route, on which its inputs may depend.
        public let method: HTTPRequest.Method
        /// A one-line summary.
        public var summary: String?
        /// A longer description, in CommonMark.
        public var description: String?
        /// The tags that group operations. By default, the first constant path segment that is not a version.
        public var tags: [String] = []
        /// The operation id, which names the operation in generated clients. By default, it is derived from the method and the
        /// path.
        public var id: String?
        /// Whether the operation is deprecated.
        public var isDeprecated = false
        /// Whether the operation is omitted from the document.
        public var isHidden = false
        /// The path, query, header and cookie parameters.
        public var parameters: [Parameter] = []
        /// The request body; `nil` if there is none.
        public var body: Content?
        /// The responses by status.
        public var responses: [Int: Response] = [:]
        /// The response for all other statuses. By default, a problem document.
        public var otherResponses: Response? = .problem("An error.")
        /// The alternative security schemes, of which a request must satisfy one. If empty, none is required.
        public var security: [SecurityScheme] = []
        /// What is wrong with the validation rules of the body, which stops the start.
        var ruleProblems: [String] = []

        /// Creates a description without inputs and responses.
        public init(_ method: HTTPRequest.Method) { self.method = method }

        /// Adds an error response. If there is one with the same status, its description gets another sentence.
        public mutating func addErrorResponse(_ status: HTTPResponse.Status, _ description: String) {
            guard let existing = responses[status.code]?.description else {
                responses[status.code] = .problem(description)
                return
            }
            if !existing.contains(description) { responses[status.code]?.description = "\(existing) \(description)" }
        }
    }

    /// A path, query, header or cookie parameter.
    public struct Parameter: Sendable {
        /// The location of a parameter in the request.
        public enum Location: String, Sendable {
            case path, query, header, cookie
        }

        public var name: String
        public var location: Location
        public var isRequired: Bool
        public var schema: Schema
        public var description: String?

        public init(
            _ name: String, in location: Location, isRequired: Bool = true, schema: Schema, description: String? = nil
        ) {
            self.name = name
            self.location = location
            self.isRequired = isRequired
            self.schema = schema
            self.description = description
        }
    }

    /// The content of a body: its schemas by media type.
    public struct Content: Sendable {
        public var mediaTypes: [String: Schema]

        public init(_ mediaTypes: [String: Schema]) { self.mediaTypes = mediaTypes }
    }

    /// The description of a response with a particular status.
    public struct Response: Sendable {
        public var description: String
        /// The content of the body; `nil` if it is not described.
        public var content: Content?
        /// The descriptions of header fields by name.
        public var headers: [String: String]

        public init(_ description: String, content: Content? = nil, headers: [String: String] = [:]) {
            self.description = description
            self.content = content
            self.headers = headers
        }

        /// Returns a response with a JSON body.
        public static func json<Value>(_ description: String, _ type: Value.Type) -> Response {
            Response(description, content: Content(["application/json": .of(type)]))
        }

        /// Returns a response with a problem document.
        static func problem(_ description: String) -> Response {
            Response(description, content: Content(["application/problem+json": .of(ProblemDetails.self)]))
        }
    }

    /// A method of authentication.
    public struct SecurityScheme: Sendable {
        /// The name by which operations refer to the scheme.
        public var name: String
        /// The security scheme object of OpenAPI.
        public var value: JSON.Value

        public init(_ name: String, _ value: JSON.Value) {
            self.name = name
            self.value = value
        }
    }

    /// A JSON schema that is created when the document is generated.
    public struct Schema: Sendable {
        let make: @Sendable (SchemaRegistry) -> JSON.Value

        package init(_ make: @escaping @Sendable (SchemaRegistry) -> JSON.Value) { self.make = make }

        /// Returns the schema of a type, see ``SchemaRegistry``.
        public static func of<Value>(_ type: Value.Type) -> Schema { Schema { $0.schema(of: type) } }

        /// Returns the schema of a type that is parsed from text: a string, unless the type has a known schema.
        static func text<Value>(of type: Value.Type) -> Schema { Schema { $0.textSchema(of: type) } }

        /// Returns a literal schema.
        public static func literal(_ schema: JSON.Value) -> Schema { Schema { _ in schema } }
    }
}
