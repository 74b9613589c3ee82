public import ApusCore
import HTTPTypes
import NIOCore

/// The body, decoded from JSON or from a form, and validated if its type is ``Validatable``.
///
/// ```swift
/// Body(PlaceOrder.self)
/// Body(Login.self, as: .json, .form)
/// ```
public struct Body<Value: Decodable & Sendable>: RequestInput {
    private let formats: [BodyFormat]
    private let acceptsJSON: Bool
    private let validate: @Sendable (Value) throws -> Void

    /// - Parameter formats: The accepted formats, chosen by media type. JSON if none are given.
    public init(_ type: Value.Type, as formats: BodyFormat...) {
        (self.formats, acceptsJSON) = Self.checked(formats)
        validate = { _ in }
    }

    /// - Parameter formats: The accepted formats, chosen by media type. JSON if none are given.
    public init(_ type: Value.Type, as formats: BodyFormat...) where Value: Validatable {
        (self.formats, acceptsJSON) = Self.checked(formats)
        validate = { try $0.validate() }
    }

    private static func checked(_ formats: [BodyFormat]) -> ([BodyFormat], acceptsJSON: Bool) {
        let formats = formats.isEmpty ? [.json] : formats
        return (formats, formats.contains { $0.mediaType == BodyFormat.json.mediaType })
    }

    public func extract(from request: Request) async throws -> Value {
        let value = try await decode(request)
        try validate(value)
        return value
    }

    private func decode(_ request: Request) async throws -> Value {
        let field = request.headers[.contentType]
        // The common case, for which the media type need not be parsed.
        if field == "application/json", acceptsJSON {
            return try JSONCoding.decode(Value.self, from: try await request.body.collect())
        }
        guard let type = field.flatMap(MediaType.init), let format = formats.first(where: { $0.reads(type) }) else {
            let known = formats.map(\.mediaType).joined(separator: " or ")
            let found = (field ?? "").isEmpty ? "is missing" : "is \((field ?? "").prefix(64))"
            throw AppError(
                .invalidArgument, "The Content-Type must be \(known); it \(found).", reason: .unsupportedMediaType)
        }
        switch format.kind {
        case .json: return try JSONCoding.decode(Value.self, from: try await request.body.collect())
        case .form:
            let bytes = try await request.body.collect()
            guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
                throw AppError(.invalidArgument, "The form is not valid percent-encoded UTF-8.")
            }
            return try FormDecoder.decode(Value.self, from: FormFields(urlEncoded: text))
        case .multipart(let reader):
            guard let boundary = type.parameters["boundary"] else {
                throw MultipartParser.malformed("the Content-Type has no boundary parameter")
            }
            try request.body.checkLength()
            return try FormDecoder.decode(Value.self, from: try await reader.read(request.body, boundary: boundary))
        }
    }

    /// Writes the body in the first accepted format that clients can send: JSON or a URL-encoded form.
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        guard let value = value as? any Encodable else {
            throw AppError(.unimplemented, "A client cannot send \(Value.self), because it is not Encodable.")
        }
        guard let format = formats.first(where: \.isWritable) else {
            throw AppError(.unimplemented, "A client cannot send a body of type \(formats[0].mediaType).")
        }
        request.headers[.contentType] = format.mediaType
        request.body =
            try format.mediaType == BodyFormat.form.mediaType
            ? ByteBuffer(string: FormEncoder.encode(value)) : JSONCoding.encode(value)
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.body = .init(
            Dictionary(formats.map { ($0.mediaType, .of(Value.self)) }, uniquingKeysWith: { first, _ in first }))
        if let type = Value.self as? any Validatable.Type { operation.ruleProblems = type.problemsOfRules() }
        operation.addErrorResponse(.badRequest, "The body is malformed.")
        operation.addErrorResponse(.contentTooLarge, "The body is too large.")
        operation.addErrorResponse(.unsupportedMediaType, "The media type of the body is not supported.")
        operation.addErrorResponse(.unprocessableContent, "Fields are missing, of the wrong type or invalid.")
    }
}

/// The format of a request body.
public struct BodyFormat: Sendable {
    enum Kind: Sendable {
        case json
        case form
        case multipart(MultipartReader)
    }

    let kind: Kind
    let mediaType: String

    /// `application/json`, or another `application` type that ends in `+json`.
    public static let json = BodyFormat(kind: .json, mediaType: "application/json")

    /// `application/x-www-form-urlencoded`, as sent by HTML forms.
    public static let form = BodyFormat(kind: .form, mediaType: "application/x-www-form-urlencoded")

    /// `multipart/form-data` (RFC 7578), as sent by HTML forms with files. Files are decoded as ``UploadedFile``.
    /// - Parameters:
    ///   - threshold: The maximum size of a file that is kept in memory, in bytes; larger files are written to disk.
    ///     64 KiB by default.
    ///   - maximumParts: The maximum number of parts. 1000 by default.
    public static func multipart(threshold: Int = 64 << 10, maximumParts: Int = 1000) -> BodyFormat {
        BodyFormat(
            kind: .multipart(MultipartReader(threshold: threshold, maximumParts: maximumParts)),
            mediaType: "multipart/form-data")
    }

    /// Whether clients of an ``Endpoint`` can send the format.
    var isWritable: Bool {
        switch kind {
        case .json, .form: true
        case .multipart: false
        }
    }

    package func reads(_ type: MediaType) -> Bool {
        switch kind {
        case .json: type.isJSON
        case .form, .multipart: type.essence == mediaType
        }
    }
}
