import ApusCore
import ApusJSON
import FoundationEssentials
public import NIOCore

/// JSON as Apus reads and writes it: dates as RFC 3339 text with milliseconds, field names as they are, each key of an
/// object once.
public enum JSONCoding {
    private static let encoder = {
        var encoder = JSON.Encoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(date.formatted(.iso8601WithMilliseconds))
        }
        return encoder
    }()

    private static let decoder = {
        var decoder = JSON.Decoder()
        decoder.limits.duplicateKeys = .reject
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            if let date = date(text) { return date }
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "Expected an RFC 3339 date such as 2026-01-31T12:00:00Z.")
        }
        return decoder
    }()

    /// An RFC 3339 date, with a fraction of a second or without.
    static func date(_ text: String) -> Date? {
        (try? Date(text, strategy: .iso8601WithMilliseconds)) ?? (try? Date(text, strategy: .iso8601))
    }

    /// Any value as JSON.
    public static func encode(_ value: some Encodable) throws -> ByteBuffer {
        try encoder.withEncoded(value) { ByteBuffer(bytes: $0) }
    }

    /// A value from JSON.
    /// - Throws: An ``AppError`` of code `invalidArgument`: what is malformed and where, or which field is missing or of a
    ///   wrong type, by its JSON pointer.
    public static func decode<Value: Decodable>(_ type: Value.Type, from buffer: ByteBuffer) throws -> Value {
        try decode(type, from: buffer.readableBytesView)
    }

    /// A value from JSON.
    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
        do {
            return try decoder.decode(type, from: bytes)
        } catch let error as DecodingError {
            throw AppError(decoding: error)
        }
    }
}

extension ParseStrategy where Self == Date.ISO8601FormatStyle {
    fileprivate static var iso8601WithMilliseconds: Self { .init(includingFractionalSeconds: true) }
}

extension FormatStyle where Self == Date.ISO8601FormatStyle {
    fileprivate static var iso8601WithMilliseconds: Self { .init(includingFractionalSeconds: true) }
}

extension AppError {
    /// What a client can know of input that could not be decoded.
    init(decoding error: DecodingError) {
        switch error {
        case .keyNotFound(let key, let context):
            self.init(at: context.codingPath + [key], code: "required", message: "is required")
        case .valueNotFound(let type, let context):
            self.init(at: context.codingPath, code: "required", message: "must be \(Self.name(of: type)), not null")
        case .typeMismatch(let type, let context):
            self.init(at: context.codingPath, code: "type", message: "must be \(Self.name(of: type))")
        case .dataCorrupted(let context) where context.underlyingError is JSON.SyntaxError:
            let place = context.underlyingError.map { " \($0)" } ?? ""
            self.init(.invalidArgument, "The body is not valid JSON.\(place)", cause: error)
        case .dataCorrupted(let context):
            self.init(at: context.codingPath, code: "format", message: context.debugDescription)
        @unknown default:
            self.init(.invalidArgument, "The body could not be decoded.", cause: error)
        }
    }

    private init(at path: [any CodingKey], code: String, message: String) {
        let pointer = path.reduce(JSONPointer.root) { pointer, key in
            key.intValue.map { pointer.appending($0) } ?? pointer.appending(key.stringValue)
        }
        self.init(failures: [ValidationFailure(pointer: pointer.description, code: code, message: message)])
    }

    private static func name(of type: Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is any BinaryFloatingPoint.Type: "a number"
        case is any Collection.Type where !(type is any ExpressibleByDictionaryLiteral.Type): "an array"
        default: "an object"
        }
    }
}
