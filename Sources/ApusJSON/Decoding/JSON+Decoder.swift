public import FoundationEssentials

extension JSON {
    /// A decoder of `Decodable` types from JSON in UTF-8.
    ///
    /// Results are the same as those of Foundation's `JSONDecoder`, but this decoder is stricter in two respects: it
    /// rejects trailing commas, as RFC 8259 requires, and documents that exceed a limit.
    public struct Decoder: Sendable {
        /// How dates are decoded. Default: as seconds since 2001-01-01, as in Foundation.
        public var dateDecodingStrategy: JSONDecoder.DateDecodingStrategy = .deferredToDate

        /// How `Data` is decoded. Default: from Base64.
        public var dataDecodingStrategy: JSONDecoder.DataDecodingStrategy = .base64

        /// How keys are converted to coding keys. Default: unchanged. Dictionary keys are never converted.
        public var keyDecodingStrategy: JSONDecoder.KeyDecodingStrategy = .useDefaultKeys

        /// The strings that represent infinities and NaN. Default: none.
        public var nonConformingFloatDecodingStrategy: JSONDecoder.NonConformingFloatDecodingStrategy = .throw

        /// Contextual information, available to types as `decoder.userInfo`.
        public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

        /// The limits on documents.
        public var limits = Limits()

        public init() {}

        /// Decodes a value from a JSON document.
        /// - Parameter bytes: The document in UTF-8, ideally in contiguous storage, such as an array, `Data`,
        ///   `String.UTF8View` or a buffer view; otherwise it is copied.
        /// - Throws: `DecodingError`. Malformed JSON is reported as `dataCorrupted` with a ``SyntaxError`` as the
        ///   underlying error. The description of every other error states the line and column at which the value
        ///   begins, and its coding path has the document's own keys.
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
            defer { if !isKnownUniquelyReferenced(&document) { document.copyBytes() } }
            do {
                let value = try document.decode(type, at: 0)
                if let error = document.deferredError { throw error }
                return value
            } catch let error as DecodingError {
                throw document.located(error)
            }
        }
    }

    /// Limits on the documents that a ``Decoder`` accepts.
    public struct Limits: Sendable {
        /// The maximum size of a document, in bytes. Default: 64 MiB. Cannot exceed 2 GiB.
        public var size = 64 << 20

        /// The maximum nesting depth of arrays and objects. Default: 512, as in Foundation.
        public var depth = 512

        /// How duplicate keys in an object are handled. Default: the first one is used, as in Foundation.
        public var duplicateKeys = DuplicateKeys.useFirst

        public init() {}
    }

    /// How duplicate keys in an object are handled.
    public enum DuplicateKeys: Sendable {
        /// The first one is used.
        case useFirst
        /// The document is rejected, because different readers of it could see different values.
        case reject
    }
}
