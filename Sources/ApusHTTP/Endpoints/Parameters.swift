import ApusCore
public import HTTPTypes

// Inputs that are named texts in the path, the query, the header and cookies. Their values are parsed from text (`Int`,
// typed identifiers, enumerations with raw strings that conform to `LosslessStringConvertible` …).
//
// `as: Int.self` is required, `as: Int?.self` is optional, and `as: [Int].self` may occur any number of times.

/// A `:name` segment of the path.
public struct Path<Value: Sendable>: RequestInput {
    private let name: String
    private let reader: TextReader<Value>

    init(_ name: String, _ reader: TextReader<Value>) {
        self.name = name
        self.reader = reader
    }

    /// Creates an input for a segment.
    /// - Parameter type: A type that can be parsed from text, such as `Int` or a typed identifier.
    public init(_ name: String, as type: Value.Type) where Value: LosslessStringConvertible {
        self.name = name
        reader = .one()
    }

    /// Creates an input for the text of a segment.
    public init(_ name: String) where Value == String { self.init(name, as: String.self) }

    public func extract(from request: Request) throws -> Value {
        guard let text = request.parameters[name] else {
            throw AppError(.internal, "The route has no segment :\(name).")
        }
        return try reader.read([text]) { "path parameter \"\(name)\"" }
    }

    /// - Throws: An `AppError` of code `invalidArgument` for text that cannot be a segment: empty text, `.` and `..`.
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        for text in reader.write(value) {
            guard !["", ".", ".."].contains(text) else {
                throw AppError(.invalidArgument, "The path parameter \"\(name)\" cannot be \"\(text)\".")
            }
            request.setPathParameter(name, text)
        }
    }

    public func describe(_ operation: inout OpenAPI.Operation) { reader.describe(name, .path, &operation) }
}

/// A query parameter.
public struct Query<Value: Sendable>: RequestInput {
    private let name: String
    private let reader: TextReader<Value>

    init(_ name: String, _ reader: TextReader<Value>) {
        self.name = name
        self.reader = reader
    }

    /// Creates an input for a parameter, which is required unless there is a default.
    public init(_ name: String, as type: Value.Type, default defaultValue: Value? = nil)
    where Value: LosslessStringConvertible {
        self.name = name
        reader = .one(default: defaultValue)
    }

    /// Creates an input for the text of a parameter, which is required unless there is a default.
    public init(_ name: String, default defaultValue: Value? = nil) where Value == String {
        self.init(name, as: String.self, default: defaultValue)
    }

    /// Creates an input for an optional parameter.
    public init<Element: LosslessStringConvertible>(_ name: String, as type: Element?.Type) where Value == Element? {
        self.name = name
        reader = .optional()
    }

    /// Creates an input for all parameters of the name, in order: `tag=a&tag=b`. The list may be empty.
    public init<Element: LosslessStringConvertible>(_ name: String, as type: [Element].Type) where Value == [Element] {
        self.name = name
        reader = .list()
    }

    public func extract(from request: Request) throws -> Value {
        try reader.read(try request.queryValues(name)) { "query parameter \"\(name)\"" }
    }

    public func write(_ value: Value, to request: inout ClientRequest) {
        for text in reader.write(value) { request.addQueryItem(name, text) }
    }

    public func describe(_ operation: inout OpenAPI.Operation) { reader.describe(name, .query, &operation) }
}

/// A header field.
public struct Header<Value: Sendable>: RequestInput {
    private let name: HTTPField.Name
    private let reader: TextReader<Value>

    init(_ name: HTTPField.Name, _ reader: TextReader<Value>) {
        self.name = name
        self.reader = reader
    }

    /// Creates an input for the text of a field; `nil` if it is missing. Several fields of the name are joined by
    /// commas (RFC 9110 §5.3).
    public init(_ name: HTTPField.Name) where Value == String? { self.init(name, as: String?.self) }

    /// Creates an input for a field, which is required unless there is a default.
    public init(_ name: HTTPField.Name, as type: Value.Type, default defaultValue: Value? = nil)
    where Value: LosslessStringConvertible {
        self.name = name
        reader = .one(default: defaultValue)
    }

    /// Creates an input for an optional field.
    public init<Element: LosslessStringConvertible>(_ name: HTTPField.Name, as type: Element?.Type)
    where Value == Element? {
        self.name = name
        reader = .optional()
    }

    public func extract(from request: Request) throws -> Value {
        try reader.read(request.headers[name].map { [$0] } ?? []) { "header field \(name.rawName)" }
    }

    /// - Throws: An `AppError` of code `invalidArgument` for text that no header field can contain, such as line
    ///   breaks.
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        for text in reader.write(value) {
            guard HTTPField.isValidValue(text) else {
                throw AppError(
                    .invalidArgument,
                    "The value for the header field \(name.rawName) contains characters that are not allowed.")
            }
            request.headers[name] = text
        }
    }

    public func describe(_ operation: inout OpenAPI.Operation) { reader.describe(name.rawName, .header, &operation) }
}

/// A cookie (RFC 6265).
public struct Cookie<Value: Sendable>: RequestInput {
    private let name: String
    private let reader: TextReader<Value>

    init(_ name: String, _ reader: TextReader<Value>) {
        self.name = name
        self.reader = reader
    }

    /// Creates an input for the text of a cookie; `nil` if it is missing.
    public init(_ name: String) where Value == String? { self.init(name, as: String?.self) }

    /// Creates an input for a cookie, which is required unless there is a default.
    public init(_ name: String, as type: Value.Type, default defaultValue: Value? = nil)
    where Value: LosslessStringConvertible {
        self.name = name
        reader = .one(default: defaultValue)
    }

    /// Creates an input for an optional cookie.
    public init<Element: LosslessStringConvertible>(_ name: String, as type: Element?.Type) where Value == Element? {
        self.name = name
        reader = .optional()
    }

    public func extract(from request: Request) throws -> Value {
        try reader.read(request.cookie(name).map { [$0] } ?? []) { "cookie \"\(name)\"" }
    }

    /// - Throws: An `AppError` of code `invalidArgument` for text that no cookie can contain (RFC 6265 §4.1.1).
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        for text in reader.write(value) {
            guard SetCookie.isValue(text) else {
                throw AppError(
                    .invalidArgument, "The value for the cookie \"\(name)\" contains characters that are not allowed.")
            }
            request.addCookie(name, text)
        }
    }

    public func describe(_ operation: inout OpenAPI.Operation) { reader.describe(name, .cookie, &operation) }
}

extension LosslessStringConvertible where Self: RawRepresentable, RawValue == String {
    /// Creates a value from its raw string, so that enumerations with raw strings only need to declare the conformance.
    ///
    /// Raw strings are compared by code units: `init(rawValue:)` of an enumeration also accepts canonically equivalent text.
    public init?(_ description: String) {
        self.init(rawValue: description)
        guard rawValue != description || rawValue.isExactly(description) else { return nil }
    }

    public var description: String { rawValue }
}
