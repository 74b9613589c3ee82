public import ApusCore
import HTTPTypes
import NIOCore

/// The body, decoded from JSON or from a form, and validated if its type has rules.
///
/// ```swift
/// Body(PlaceOrder.self)
/// Body(Login.self, as: .json, .form)
/// ```
public struct Body<Value: Decodable & Sendable>: RequestInput {
    private let formats: [BodyFormat]
    private let takesJSON: Bool
    private let validate: @Sendable (Value) throws -> Void

    /// - Parameter formats: What the body may be in, by its media type. JSON alone if there are none.
    public init(_ type: Value.Type, as formats: BodyFormat...) {
        (self.formats, takesJSON) = Self.checked(formats)
        validate = { _ in }
    }

    /// - Parameter formats: What the body may be in, by its media type. JSON alone if there are none.
    public init(_ type: Value.Type, as formats: BodyFormat...) where Value: Validatable {
        (self.formats, takesJSON) = Self.checked(formats)
        validate = { try $0.validate() }
    }

    private static func checked(_ formats: [BodyFormat]) -> ([BodyFormat], takesJSON: Bool) {
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
        // Most clients write it so, and it need not be taken apart then.
        if field == "application/json", takesJSON {
            return try JSONCoding.decode(Value.self, from: try await request.body.collect())
        }
        guard let type = field.flatMap(MediaType.init), let format = formats.first(where: { $0.reads(type) }) else {
            let known = formats.map(\.mediaType).joined(separator: " or ")
            let found = (field ?? "").isEmpty ? "has none" : "is \((field ?? "").prefix(64))"
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
                throw MultipartParser.malformed("the Content-Type names no boundary")
            }
            try request.body.checkLength()
            return try FormDecoder.decode(Value.self, from: try await reader.read(request.body, boundary: boundary))
        }
    }

    /// In the first format that there is of JSON and forms.
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        guard let value = value as? any Encodable else {
            throw AppError(.unimplemented, "A client cannot write \(Value.self): it is not Encodable.")
        }
        guard let format = formats.first(where: \.isWritable) else {
            throw AppError(.unimplemented, "A client cannot write \(formats[0].mediaType).")
        }
        request.headers[.contentType] = format.mediaType
        request.body =
            try format.mediaType == BodyFormat.form.mediaType
            ? ByteBuffer(string: FormEncoder.encode(value)) : JSONCoding.encode(value)
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.body = .init(
            Dictionary(formats.map { ($0.mediaType, .of(Value.self)) }, uniquingKeysWith: { first, _ in first }))
        operation.mayFail(.badRequest, "The body is malformed.")
        operation.mayFail(.contentTooLarge, "The body is too large.")
        operation.mayFail(.unsupportedMediaType, "The body is of another media type.")
        operation.mayFail(.unprocessableContent, "Fields are missing, of a wrong type or not valid.")
    }
}

/// What a body may be in.
public struct BodyFormat: Sendable {
    enum Kind: Sendable {
        case json
        case form
        case multipart(MultipartReader)
    }

    let kind: Kind
    let mediaType: String

    /// `application/json`, or another type that ends in `+json`.
    public static let json = BodyFormat(kind: .json, mediaType: "application/json")

    /// `application/x-www-form-urlencoded`, as HTML forms send it.
    public static let form = BodyFormat(kind: .form, mediaType: "application/x-www-form-urlencoded")

    /// `multipart/form-data` (RFC 7578), as HTML forms with files send it: files are ``UploadedFile``s.
    /// - Parameters:
    ///   - threshold: Bytes of a file that are kept in memory; a larger one goes to the disk. 64 KiB.
    ///   - maximumParts: The most parts. 1000.
    public static func multipart(threshold: Int = 64 << 10, maximumParts: Int = 1000) -> BodyFormat {
        BodyFormat(
            kind: .multipart(MultipartReader(threshold: threshold, maximumParts: maximumParts)),
            mediaType: "multipart/form-data")
    }

    /// Whether clients made from endpoints can send it.
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
