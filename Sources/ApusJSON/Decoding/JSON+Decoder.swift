public import FoundationEssentials

extension JSON {
    /// Reads any `Decodable` type from JSON in UTF-8.
    ///
    /// What it accepts gives what Foundation's `JSONDecoder` gives. It is stricter than that one in two things: a comma
    /// before a closing bracket is an error, as RFC 8259 has it, and so is what a limit forbids.
    public struct Decoder: Sendable {
        /// How dates are read. Default: seconds since 2001, as Foundation's.
        public var dateDecodingStrategy: JSONDecoder.DateDecodingStrategy = .deferredToDate

        /// How bytes are read. Default: Base64.
        public var dataDecodingStrategy: JSONDecoder.DataDecodingStrategy = .base64

        /// How keys become names. Default: unchanged. Keys of dictionaries never change.
        public var keyDecodingStrategy: JSONDecoder.KeyDecodingStrategy = .useDefaultKeys

        /// Which strings stand for infinities and NaN. Default: none.
        public var nonConformingFloatDecodingStrategy: JSONDecoder.NonConformingFloatDecodingStrategy = .throw

        /// What types find in `decoder.userInfo`.
        public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

        /// What a document may be.
        public var limits = Limits()

        public init() {}

        /// The value that the JSON describes.
        /// - Parameter bytes: UTF-8, in one piece: an array, `Data`, `String.UTF8View`, a view of a buffer.
        /// - Throws: `DecodingError`. Malformed JSON is `dataCorrupted` with a ``SyntaxError`` underneath; every other
        ///   says in its description at which line and column the value begins, and its path has the document's own keys.
        public func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
            if let value = try bytes.withContiguousStorageIfAvailable({ try decode(type, from: $0) }) { return value }
            return try Array(bytes).withUnsafeBufferPointer { try decode(type, from: $0) }
        }

        private func decode<Value: Decodable>(
            _ type: Value.Type, from bytes: UnsafeBufferPointer<UInt8>
        ) throws -> Value {
            var document: Document
            do {
                document = try Document(bytes, options: self)
            } catch {
                throw DecodingError.dataCorrupted(
                    .init(
                        codingPath: [], debugDescription: "The given data was not valid JSON.",
                        underlyingError: error))
            }
            defer { if !isKnownUniquelyReferenced(&document) { document.keepBytes() } }
            do {
                return try document.decode(type, at: 0)
            } catch let error as DecodingError {
                throw document.located(error)
            }
        }
    }

    /// What a document may be.
    public struct Limits: Sendable {
        /// Bytes of a document. Default: 64 MiB. At most 2 GiB.
        public var size = 64 << 20

        /// How deep arrays and objects may nest. Default: 512, as Foundation's.
        public var depth = 512

        /// What happens when an object has a key twice. Default: as Foundation, the first one counts.
        public var duplicateKeys = DuplicateKeys.useFirst

        public init() {}
    }

    /// What happens when an object has a key twice.
    public enum DuplicateKeys: Sendable {
        /// The first one counts.
        case useFirst
        /// The document is refused: two readers of one document could see two different values.
        case reject
    }
}
