import ApusCore
public import HTTPTypes

/// A type that handlers can return.
///
/// An `Encodable` type that conforms is sent as JSON with status 200.
public protocol ResponseConvertible: Sendable {
    /// Returns the response for this value.
    /// - Throws: An error if the value cannot be encoded.
    func response(to request: Request) throws -> Response

    /// Creates the value from a response, for clients. By default, `Decodable` types are decoded from JSON, and other
    /// types cannot be read.
    /// - Throws: An `AppError` that says what is wrong with the response.
    static func read(_ response: ClientResponse) throws -> Self

    /// Adds the responses of this type to the API description. By default, it adds nothing.
    static func describe(_ operation: inout OpenAPI.Operation)
}

extension ResponseConvertible {
    public static func read(_ response: ClientResponse) throws -> Self { try response.value() }

    public static func describe(_ operation: inout OpenAPI.Operation) {}
}

extension ResponseConvertible where Self: Encodable {
    public func response(to request: Request) throws -> Response { try Response.json(self) }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[200] = .json("OK", Self.self)
    }
}

extension Response: ResponseConvertible {
    public func response(to request: Request) -> Response { self }

    public static func read(_ response: ClientResponse) -> Response {
        Response(status: response.status, headers: response.headers, body: .bytes(response.body))
    }

    /// Describes an arbitrary response.
    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.otherResponses = .init("Any response.")
    }
}

extension String: ResponseConvertible {
    /// Plain text in UTF-8.
    public func response(to request: Request) -> Response { .text(self) }

    public static func read(_ response: ClientResponse) -> String { response.text }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[200] = .init("OK", content: .init(["text/plain": .of(String.self)]))
    }
}

extension Array: ResponseConvertible where Element: Encodable & ResponseConvertible {}

extension Response {
    /// Creates a JSON response.
    public static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(status: status, headers: jsonFields, body: .bytes(try JSONCoding.encode(value)))
    }

    private static let jsonFields: HTTPFields = [.contentType: "application/json"]
}

/// A 201 response with a created resource and its location.
public struct Created<Value: Encodable & Sendable>: ResponseConvertible {
    public let value: Value
    public let location: String

    /// Creates a 201 response.
    /// - Parameter location: The path of the created resource, for the `Location` field. Characters that no URL can
    ///   contain are percent-encoded; encode a slash, a question mark or a number sign within a segment yourself.
    public init(_ value: Value, at location: String) {
        self.value = value
        self.location = location
    }

    public func response(to request: Request) throws -> Response {
        var response = try Response.json(value, status: .created)
        response.headers[.location] = PercentEncoding.encode(url: location)
        return response
    }

    public static func read(_ response: ClientResponse) throws -> Created {
        Created(try response.value(), at: response.headers[.location] ?? "")
    }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        var response = OpenAPI.Response.json("Created", Value.self)
        response.headers["Location"] = "The location of the created resource."
        operation.responses[201] = response
    }
}

/// A 202 response: the request has been accepted and is processed later.
public struct Accepted<Value: Encodable & Sendable>: ResponseConvertible {
    public let value: Value

    public init(_ value: Value) { self.value = value }

    public func response(to request: Request) throws -> Response { try Response.json(value, status: .accepted) }

    public static func read(_ response: ClientResponse) throws -> Accepted { Accepted(try response.value()) }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[202] = .json("Accepted", Value.self)
    }
}

/// A 204 response, which has no body.
public struct NoContent: ResponseConvertible {
    public init() {}

    public func response(to request: Request) -> Response { Response(status: .noContent) }

    public static func read(_ response: ClientResponse) -> NoContent { NoContent() }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[204] = .init("No Content")
    }
}
