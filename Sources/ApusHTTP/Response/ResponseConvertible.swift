import ApusCore
public import HTTPTypes

/// What a handler may return.
///
/// An `Encodable` type that conforms is sent as JSON with status 200.
public protocol ResponseConvertible: Sendable {
    /// - Throws: What encoding throws.
    func response(to request: Request) throws -> Response

    /// The inverse, for clients. By default a `Decodable` type is read from JSON, and no other one can be.
    /// - Throws: An `AppError` that says what is wrong with the response.
    static func read(_ response: ClientResponse) throws -> Self

    /// Says what it answers. By default nothing.
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

    /// It may be anything.
    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.otherResponses = .init("What the handler answers.")
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
    /// A response of JSON.
    public static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(status: status, headers: jsonFields, body: .bytes(try JSONCoding.encode(value)))
    }

    private static let jsonFields: HTTPFields = [.contentType: "application/json"]
}

/// 201: something was created, and this is where it is.
public struct Created<Value: Encodable & Sendable>: ResponseConvertible {
    public let value: Value
    public let location: String

    /// - Parameter location: The path of what was created, for the `Location` field.
    public init(_ value: Value, at location: String) {
        self.value = value
        self.location = location
    }

    public func response(to request: Request) throws -> Response {
        var response = try Response.json(value, status: .created)
        response.headers[.location] = location
        return response
    }

    public static func read(_ response: ClientResponse) throws -> Created {
        Created(try response.value(), at: response.headers[.location] ?? "")
    }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        var response = OpenAPI.Response.json("Created", Value.self)
        response.headers["Location"] = "Where it is."
        operation.responses[201] = response
    }
}

/// 202: understood, to be done later.
public struct Accepted<Value: Encodable & Sendable>: ResponseConvertible {
    public let value: Value

    public init(_ value: Value) { self.value = value }

    public func response(to request: Request) throws -> Response { try Response.json(value, status: .accepted) }

    public static func read(_ response: ClientResponse) throws -> Accepted { Accepted(try response.value()) }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[202] = .json("Accepted", Value.self)
    }
}

/// 204: done, nothing to say.
public struct NoContent: ResponseConvertible {
    public init() {}

    public func response(to request: Request) -> Response { Response(status: .noContent) }

    public static func read(_ response: ClientResponse) -> NoContent { NoContent() }

    public static func describe(_ operation: inout OpenAPI.Operation) { operation.responses[204] = .init("Done") }
}
