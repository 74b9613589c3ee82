public import FoundationEssentials

extension JSON {
    /// Writes any `Encodable` value as JSON in UTF-8.
    ///
    /// The result is Foundation's `JSONEncoder`'s, but for the order of keys, which is the order in which the value
    /// writes them. Values that cannot be written in one pass (a class that shares its container with its superclass, a key
    /// that is written twice, two nested containers open at once, an error that a type catches, sorted keys, indentation)
    /// are written once more by Foundation itself, at its speed.
    public struct Encoder: Sendable {
        /// How dates are written. Default: seconds since 2001, as Foundation's.
        public var dateEncodingStrategy: JSONEncoder.DateEncodingStrategy = .deferredToDate

        /// How bytes are written. Default: Base64.
        public var dataEncodingStrategy: JSONEncoder.DataEncodingStrategy = .base64

        /// How names become keys. Default: unchanged. Keys of dictionaries never change.
        public var keyEncodingStrategy: JSONEncoder.KeyEncodingStrategy = .useDefaultKeys

        /// What happens to infinities and NaN. Default: an `EncodingError`.
        public var nonConformingFloatEncodingStrategy: JSONEncoder.NonConformingFloatEncodingStrategy = .throw

        /// Default: no spaces, `/` escaped, keys in the order of the value.
        public var outputFormatting: JSONEncoder.OutputFormatting = []

        /// What types find in `encoder.userInfo`.
        public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

        /// How deep arrays and objects may nest. Default: 512, as Foundation's decoder takes.
        public var maximumDepth = 512

        public init() {}

        /// The value as JSON.
        /// - Throws: `EncodingError.invalidValue` for a number that JSON has not, for nesting that is too deep, and for a
        ///   value that writes nothing; and what the value's own `encode(to:)` throws.
        public func encode(_ value: some Encodable) throws -> [UInt8] {
            try withEncoded(value) { Array($0) }
        }

        /// Calls `body` with the value as JSON, without a copy. The bytes are valid until `body` returns.
        /// - Throws: As ``encode(_:)``, and what `body` throws.
        public func withEncoded<Result>(
            _ value: some Encodable, _ body: (UnsafeRawBufferPointer) throws -> Result
        ) throws -> Result {
            var writer = ByteWriter(options: self)
            do {
                defer { writer.endDocument() }
                try writer.write(document: value)
            } catch {
                // What is thrown may come of the broken order: then Foundation says what is right.
                if let refusal = writer.refusal { throw refusal }
                if !writer.isOutOfOrder { throw error }
            }
            if !writer.isOutOfOrder, outputFormatting.isDisjoint(with: [.sortedKeys, .prettyPrinted]) {
                // An encoder that a value has kept may write on, but not to what was handed out.
                if !isKnownUniquelyReferenced(&writer) { return try Array(writer.bytes).withUnsafeBytes(body) }
                return try withExtendedLifetime(writer) { try body($0.bytes) }
            }
            return try foundation.encode(value).withUnsafeBytes(body)
        }

        private var foundation: JSONEncoder {
            let encoder = JSONEncoder()
            encoder.dateEncodingStrategy = dateEncodingStrategy
            encoder.dataEncodingStrategy = dataEncodingStrategy
            encoder.keyEncodingStrategy = keyEncodingStrategy
            encoder.nonConformingFloatEncodingStrategy = nonConformingFloatEncodingStrategy
            encoder.outputFormatting = outputFormatting
            encoder.userInfo = userInfo
            return encoder
        }
    }
}
