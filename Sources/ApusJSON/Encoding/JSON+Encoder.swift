public import FoundationEssentials

extension JSON {
    /// An encoder of `Encodable` values as JSON in UTF-8.
    ///
    /// The result is the same as that of Foundation's `JSONEncoder`, except that keys are in the order in which the
    /// value encodes them. Values that cannot be encoded in a single pass are encoded again by Foundation, at its
    /// speed: a class that shares its container with its superclass, a key that is encoded twice, two nested containers
    /// that are open at once, an error that a type catches, sorted keys, pretty-printing.
    public struct Encoder: Sendable {
        /// How dates are encoded. Default: as seconds since 2001-01-01, as in Foundation.
        public var dateEncodingStrategy: JSONEncoder.DateEncodingStrategy = .deferredToDate

        /// How `Data` is encoded. Default: as Base64.
        public var dataEncodingStrategy: JSONEncoder.DataEncodingStrategy = .base64

        /// How coding keys are converted to keys. Default: unchanged. Dictionary keys are never converted.
        public var keyEncodingStrategy: JSONEncoder.KeyEncodingStrategy = .useDefaultKeys

        /// How infinities and NaN are encoded. Default: throws an `EncodingError`.
        public var nonConformingFloatEncodingStrategy: JSONEncoder.NonConformingFloatEncodingStrategy = .throw

        /// The format of the output. Default: no whitespace, `/` escaped, keys in encoding order.
        public var outputFormatting: JSONEncoder.OutputFormatting = []

        /// Contextual information, available to types as `encoder.userInfo`.
        public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

        /// The maximum nesting depth of arrays and objects. Default: 512, the limit of Foundation's decoder.
        public var maximumDepth = 512

        public init() {}

        /// Encodes a value as JSON.
        /// - Throws: `EncodingError.invalidValue` for an infinity or NaN, for nesting deeper than ``maximumDepth``, and
        ///   for a value that encodes nothing, and any error thrown by the value's own `encode(to:)`.
        public func encode(_ value: some Encodable) throws -> [UInt8] {
            try withEncoded(value) { Array($0) }
        }

        /// Encodes a value as JSON and passes the bytes to `body` without copying them. They are valid until `body`
        /// returns.
        /// - Throws: The errors of ``encode(_:)`` and any error thrown by `body`.
        public func withEncoded<Result>(
            _ value: some Encodable, _ body: (UnsafeRawBufferPointer) throws -> Result
        ) throws -> Result {
            var writer = ByteWriter(options: self)
            do {
                defer { writer.endDocument() }
                try writer.write(document: value)
            } catch {
                // Once the writer has fallen back, the error may be spurious: Foundation's result counts.
                if let failure = writer.failure { throw failure }
                if !writer.needsFoundation { throw error }
            }
            if !writer.needsFoundation, outputFormatting.isDisjoint(with: [.sortedKeys, .prettyPrinted]) {
                // An encoder kept by the value could still write, so `body` gets a copy.
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
