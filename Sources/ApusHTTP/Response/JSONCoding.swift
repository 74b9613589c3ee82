import ApusCore
import ApusJSON
public import NIOCore

/// Encodes and decodes JSON in buffers, with ``ApusJSON/JSON/Encoder/standard`` and
/// ``ApusJSON/JSON/Decoder/standard``.
public enum JSONCoding {
    /// Encodes a value as JSON.
    public static func encode(_ value: some Encodable) throws -> ByteBuffer {
        try JSON.Encoder.standard.withEncoded(value) { ByteBuffer(bytes: $0) }
    }

    /// Decodes a value from JSON.
    /// - Throws: An ``AppError`` of code `invalidArgument` that says what is malformed and where, or gives the JSON
    ///   pointer of the field that is missing or of the wrong type.
    public static func decode<Value: Decodable>(_ type: Value.Type, from buffer: ByteBuffer) throws -> Value {
        try decode(type, from: buffer.readableBytesView)
    }

    /// Decodes a value from JSON.
    /// - Throws: The same errors as for a buffer.
    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
        try decode(type, from: bytes, calling: "body")
    }

    /// Decodes a value from JSON.
    /// - Parameter input: What errors call the input, such as `body`.
    /// - Throws: The same errors as for a buffer.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: some Sequence<UInt8>, calling input: String
    ) throws -> Value {
        do {
            return try JSON.Decoder.standard.decode(type, from: bytes)
        } catch let error as DecodingError {
            throw AppError(decoding: error, calling: input)
        }
    }
}

extension AppError {
    /// Creates the error for input that could not be decoded, with the details that a client may see.
    /// - Parameter input: What the error calls the input.
    init(decoding error: DecodingError, calling input: String = "body") {
        switch error {
        case .keyNotFound(let key, let context):
            self.init(at: context.codingPath + [key], code: "required", message: "is required")
        case .valueNotFound(let type, let context):
            self.init(at: context.codingPath, code: "required", message: "must be \(Self.name(of: type)), not null")
        case .typeMismatch(let type, let context):
            self.init(at: context.codingPath, code: "type", message: "must be \(Self.name(of: type))")
        case .dataCorrupted(let context) where context.underlyingError is JSON.SyntaxError:
            let detail = context.underlyingError.map { " \($0)" } ?? ""
            self.init(.invalidArgument, "The \(input) is not valid JSON.\(detail)", cause: error)
        case .dataCorrupted(let context):
            // What the standard library says about a raw value names the type.
            let isRawValue = context.debugDescription.starts(withBytesOf: "Cannot initialize ")
            self.init(
                at: context.codingPath, code: isRawValue ? "enum" : "format",
                message: isRawValue ? "is not one of the allowed values" : context.debugDescription)
        @unknown default:
            self.init(.invalidArgument, "The \(input) could not be decoded.", cause: error)
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
        case is any BinaryInteger.Type: "an integer"
        case is any BinaryFloatingPoint.Type: "a number"
        case is any Collection.Type where !(type is any ExpressibleByDictionaryLiteral.Type): "an array"
        default: "an object"
        }
    }
}
