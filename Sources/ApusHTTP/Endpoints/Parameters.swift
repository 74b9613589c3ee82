import ApusCore
public import HTTPTypes

// Inputs that come as text by a name: of the path, the query, the header and cookies. Their types are read from text
// (`Int`, typed identifiers, enumerations of text that conform to `LosslessStringConvertible` …).
//
// `as: Int.self` must be there, `as: Int?.self` may be missing, `as: [Int].self` may come any number of times.

/// A `:name` segment of the path.
public struct Path<Value: Sendable>: RequestInput {
    private let name: String
    private let reader: TextReader<Value>

    init(_ name: String, _ reader: TextReader<Value>) {
        self.name = name
        self.reader = reader
    }

    /// - Parameter type: A type that can be read from text, such as `Int` or a typed identifier.
    public init(_ name: String, as type: Value.Type) where Value: LosslessStringConvertible {
        self.name = name
        reader = .one()
    }

    /// The segment's text.
    public init(_ name: String) where Value == String { self.init(name, as: String.self) }

    public func extract(from request: Request) throws -> Value {
        guard let text = request.parameters[name] else {
            throw AppError(.internal, "The route has no segment :\(name).")
        }
        return try reader.read([text]) { "path parameter \"\(name)\"" }
    }

    /// - Throws: An `AppError` of code `invalidArgument` for text that cannot be a segment: none at all, `.` and `..`.
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        for text in reader.write(value) {
            guard !["", ".", ".."].contains(text) else {
                throw AppError(.invalidArgument, "The path parameter \"\(name)\" cannot be \"\(text)\".")
            }
            request.setSegment(name, text)
        }
    }

    public func describe(_ operation: inout OpenAPI.Operation) { reader.describe(name, .path, &operation) }
}

/// A parameter of the query.
public struct Query<Value: Sendable>: RequestInput {
    private let name: String
    private let reader: TextReader<Value>

    init(_ name: String, _ reader: TextReader<Value>) {
        self.name = name
        self.reader = reader
    }

    /// One that must be there, unless there is a default.
    public init(_ name: String, as type: Value.Type, default defaultValue: Value? = nil)
    where Value: LosslessStringConvertible {
        self.name = name
        reader = .one(default: defaultValue)
    }

    /// Its text.
    public init(_ name: String, default defaultValue: Value? = nil) where Value == String {
        self.init(name, as: String.self, default: defaultValue)
    }

    /// One that may be missing.
    public init<Element: LosslessStringConvertible>(_ name: String, as type: Element?.Type) where Value == Element? {
        self.name = name
        reader = .optional()
    }

    /// All of the name, in their order: `tag=a&tag=b`. None is an empty list.
    public init<Element: LosslessStringConvertible>(_ name: String, as type: [Element].Type) where Value == [Element] {
        self.name = name
        reader = .list()
    }

    public func extract(from request: Request) throws -> Value {
        try reader.read(try request.queryValues(name)) { "query parameter \"\(name)\"" }
    }

    public func write(_ value: Value, to request: inout ClientRequest) {
        for text in reader.write(value) { request.addQuery(name, text) }
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

    /// Its text, `nil` when it is missing. Several of the name are joined by commas (RFC 9110 §5.3).
    public init(_ name: HTTPField.Name) where Value == String? { self.init(name, as: String?.self) }

    /// One that must be there, unless there is a default.
    public init(_ name: HTTPField.Name, as type: Value.Type, default defaultValue: Value? = nil)
    where Value: LosslessStringConvertible {
        self.name = name
        reader = .one(default: defaultValue)
    }

    /// One that may be missing.
    public init<Element: LosslessStringConvertible>(_ name: HTTPField.Name, as type: Element?.Type)
    where Value == Element? {
        self.name = name
        reader = .optional()
    }

    public func extract(from request: Request) throws -> Value {
        try reader.read(request.headers[name].map { [$0] } ?? []) { "header field \(name.rawName)" }
    }

    /// - Throws: An `AppError` of code `invalidArgument` for text that no header field can have, such as line breaks.
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        for text in reader.write(value) {
            guard HTTPField.isValidValue(text) else {
                throw AppError(.invalidArgument, "The header field \(name.rawName) cannot have this value.")
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

    /// Its text, `nil` when it is missing.
    public init(_ name: String) where Value == String? { self.init(name, as: String?.self) }

    /// One that must be there, unless there is a default.
    public init(_ name: String, as type: Value.Type, default defaultValue: Value? = nil)
    where Value: LosslessStringConvertible {
        self.name = name
        reader = .one(default: defaultValue)
    }

    /// One that may be missing.
    public init<Element: LosslessStringConvertible>(_ name: String, as type: Element?.Type) where Value == Element? {
        self.name = name
        reader = .optional()
    }

    public func extract(from request: Request) throws -> Value {
        try reader.read(request.cookie(name).map { [$0] } ?? []) { "cookie \"\(name)\"" }
    }

    /// - Throws: An `AppError` of code `invalidArgument` for text that no cookie can have (RFC 6265 §4.1.1).
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        for text in reader.write(value) {
            guard SetCookie.isValue(text) else {
                throw AppError(.invalidArgument, "The cookie \"\(name)\" cannot have this value.")
            }
            request.addCookie(name, text)
        }
    }

    public func describe(_ operation: inout OpenAPI.Operation) { reader.describe(name, .cookie, &operation) }
}

extension LosslessStringConvertible where Self: RawRepresentable, RawValue == String {
    /// For enumerations of text: it is enough to say that they conform.
    public init?(_ description: String) { self.init(rawValue: description) }

    public var description: String { rawValue }
}
