public import ApusJSON
public import HTTPTypes

extension OpenAPI {
    /// What one route asks for and answers.
    public struct Operation: Sendable {
        /// How it is called: what it takes may depend on that.
        public let method: HTTPRequest.Method
        /// A line of what it does.
        public var summary: String?
        /// More of it, in CommonMark.
        public var description: String?
        /// What it is listed under. By default the first word of its path that is no version.
        public var tags: [String] = []
        /// Its name in generated clients. By default made of method and path.
        public var id: String?
        /// Whether it will go away.
        public var isDeprecated = false
        /// Whether it is left out of the document.
        public var isHidden = false
        /// What comes by a name.
        public var parameters: [Parameter] = []
        /// What comes in the body; `nil` if nothing does.
        public var body: Content?
        /// What is answered, by status.
        public var responses: [Int: Response] = [:]
        /// What is answered with any other status: a problem document, unless the route does as it likes.
        public var otherResponses: Response? = .problem("An error.")
        /// One of these must be there; none if it is empty.
        public var security: [SecurityScheme] = []

        public init(_ method: HTTPRequest.Method) { self.method = method }

        /// Adds an error that it may answer with.
        public mutating func mayFail(_ status: HTTPResponse.Status, _ description: String) {
            if responses[status.code] == nil { responses[status.code] = .problem(description) }
        }
    }

    /// Something that comes by a name.
    public struct Parameter: Sendable {
        /// Where it comes.
        public enum Place: String, Sendable {
            case path, query, header, cookie
        }

        public var name: String
        public var place: Place
        public var isRequired: Bool
        public var schema: Schema
        public var description: String?

        public init(
            _ name: String, in place: Place, isRequired: Bool = true, schema: Schema, description: String? = nil
        ) {
            self.name = name
            self.place = place
            self.isRequired = isRequired
            self.schema = schema
            self.description = description
        }
    }

    /// A body: its schema by media type.
    public struct Content: Sendable {
        public var mediaTypes: [String: Schema]

        public init(_ mediaTypes: [String: Schema]) { self.mediaTypes = mediaTypes }
    }

    /// What is answered with one status.
    public struct Response: Sendable {
        public var description: String
        /// The body; `nil` says nothing of it.
        public var content: Content?
        /// The header fields, with a description each.
        public var headers: [String: String]

        public init(_ description: String, content: Content? = nil, headers: [String: String] = [:]) {
            self.description = description
            self.content = content
            self.headers = headers
        }

        /// A body of JSON.
        public static func json<Value>(_ description: String, _ type: Value.Type) -> Response {
            Response(description, content: Content(["application/json": .of(type)]))
        }

        /// A problem document.
        static func problem(_ description: String) -> Response {
            Response(description, content: Content(["application/problem+json": .of(ProblemDetails.self)]))
        }
    }

    /// How a client proves who it is.
    public struct SecurityScheme: Sendable {
        /// What operations call it by.
        public var name: String
        /// The scheme as OpenAPI writes it.
        public var value: JSON.Value

        public init(_ name: String, _ value: JSON.Value) {
            self.name = name
            self.value = value
        }
    }

    /// A JSON schema that is written down when the document is made.
    public struct Schema: Sendable {
        let make: @Sendable (SchemaRegistry) -> JSON.Value

        package init(_ make: @escaping @Sendable (SchemaRegistry) -> JSON.Value) { self.make = make }

        /// That of a type, see ``SchemaRegistry``.
        public static func of<Value>(_ type: Value.Type) -> Schema { Schema { $0.schema(of: type) } }

        /// That of a type which is read from text: if nothing else is known of it, text.
        static func text<Value>(of type: Value.Type) -> Schema { Schema { $0.textSchema(of: type) } }

        /// One that is written by hand.
        public static func literal(_ schema: JSON.Value) -> Schema { Schema { _ in schema } }
    }
}
