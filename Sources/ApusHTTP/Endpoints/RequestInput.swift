public import ApusCore
public import HTTPTypes
public import NIOCore

/// One thing that a handler needs of a request, declared as a value and received decoded.
///
/// Conform to it for inputs of your own.
public protocol RequestInput<Value>: Sendable {
    /// What the handler receives.
    associatedtype Value: Sendable

    /// - Throws: An `AppError` that says what is wrong with the input and what would be right.
    func extract(from request: Request) async throws -> Value
}

/// A `:name` segment of the path.
public struct Path<Value: LosslessStringConvertible & Sendable>: RequestInput {
    private let name: String

    /// - Parameter type: A type that can be read from text, such as `Int` or a typed identifier.
    public init(_ name: String, as type: Value.Type) { self.name = name }

    /// The segment's text.
    public init(_ name: String) where Value == String { self.name = name }

    public func extract(from request: Request) throws -> Value {
        guard let text = request.parameters[name] else {
            throw AppError(.internal, "The route has no segment :\(name).")
        }
        return try read(text, as: Value.self, "The path parameter \"\(name)\"")
    }
}

/// A parameter of the query. Missing is an error unless there is a default.
public struct Query<Value: LosslessStringConvertible & Sendable>: RequestInput {
    private let name: String
    private let defaultValue: Value?

    /// - Parameter type: A type that can be read from text.
    public init(_ name: String, as type: Value.Type, default defaultValue: Value? = nil) {
        self.name = name
        self.defaultValue = defaultValue
    }

    /// The parameter's text.
    public init(_ name: String, default defaultValue: Value? = nil) where Value == String {
        self.init(name, as: String.self, default: defaultValue)
    }

    public func extract(from request: Request) throws -> Value {
        if let text = try request.queryValues(name).first {
            return try read(text, as: Value.self, "The query parameter \"\(name)\"")
        }
        guard let defaultValue else {
            throw AppError(.invalidArgument, "The query parameter \"\(name)\" is required.")
        }
        return defaultValue
    }
}

/// A header field, `nil` when it is missing.
public struct Header: RequestInput {
    private let name: HTTPField.Name

    public init(_ name: HTTPField.Name) { self.name = name }

    public func extract(from request: Request) -> String? { request.headers[name] }
}

/// The body, from JSON, validated if its type has rules.
public struct Body<Value: Decodable & Sendable>: RequestInput {
    private let validate: @Sendable (Value) throws -> Void

    public init(_ type: Value.Type) { validate = { _ in } }

    public init(_ type: Value.Type) where Value: Validatable { validate = { try $0.validate() } }

    public func extract(from request: Request) async throws -> Value {
        try checkMediaType(request.headers[.contentType])
        let value = try JSONCoding.decode(Value.self, from: try await request.body.collect())
        try validate(value)
        return value
    }

    private func checkMediaType(_ field: String?) throws {
        let type = (field ?? "").prefix { $0 != ";" }.trimmingSuffix { $0 == " " }.lowercased()
        guard type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json")) else {
            let found = type.isEmpty ? "has none" : "is \(type.prefix(64))"
            throw AppError(
                .invalidArgument, "The Content-Type must be application/json; it \(found).",
                reason: .unsupportedMediaType)
        }
    }
}

/// The body as it came, for signatures that are made over its bytes.
public struct RawBody: RequestInput {
    public init() {}

    public func extract(from request: Request) async throws -> ByteBuffer { try await request.body.collect() }
}

/// The request itself, beside other inputs.
public struct WholeRequest: RequestInput {
    public init() {}

    public func extract(from request: Request) -> Request { request }
}

private func read<Value: LosslessStringConvertible>(_ text: String, as: Value.Type, _ what: String) throws -> Value {
    guard let value = Value(text) else {
        throw AppError(.invalidArgument, "\(what) is not a valid \(Value.self): \"\(text.prefix(64))\".")
    }
    return value
}

extension Substring {
    fileprivate func trimmingSuffix(_ isTrimmed: (Character) -> Bool) -> Substring {
        var result = self
        while let last = result.last, isTrimmed(last) { result.removeLast() }
        return result
    }
}
