public import NIOCore

/// A value of the Redis protocol, of any type of RESP2 or RESP3.
///
/// Texts are slices of what was read from the connection: a value that is kept keeps the bytes of its read. Convert
/// values that are kept for long, for example with ``decode(_:)``.
public enum RedisValue: Sendable, Hashable {
    /// No value: a missing key, or an aborted transaction.
    case null
    /// A simple or bulk string. Its bytes need not be UTF-8.
    case bytes(ByteBuffer)
    /// A 64-bit integer.
    case integer(Int64)
    /// A floating-point number (RESP3).
    case double(Double)
    /// A Boolean (RESP3).
    case boolean(Bool)
    /// An integer of any size, as its decimal digits with an optional sign (RESP3).
    case bigNumber(String)
    // Indirect, as errors are, so that what is rare and large does not make what is common larger.
    /// A string with a format of three characters, such as `txt` or `mkd` (RESP3).
    indirect case verbatim(format: String, ByteBuffer)
    /// An error reply.
    indirect case error(RedisError)
    /// A list of values.
    case array([RedisValue])
    /// A list of values without an order (RESP3).
    case set([RedisValue])
    /// Pairs of keys and values, in the order received (RESP3).
    case map([Pair])
    /// A message that is not the reply to a command (RESP3).
    case push([RedisValue])

    /// A key and its value.
    public struct Pair: Sendable, Hashable {
        /// The key.
        public var key: RedisValue
        /// The value.
        public var value: RedisValue

        /// Creates a pair.
        public init(_ key: RedisValue, _ value: RedisValue) {
            self.key = key
            self.value = value
        }
    }
}

extension RedisValue {
    /// Creates a value of a text.
    public init(_ text: String) { self = .bytes(ByteBuffer(string: text)) }

    /// The elements of an array, a set or a push message; the keys and values of a map, alternating, as RESP2 sends
    /// them; `nil` for other values.
    package var elements: [RedisValue]? {
        switch self {
        case .array(let elements), .set(let elements), .push(let elements): elements
        case .map(let pairs): pairs.flatMap { [$0.key, $0.value] }
        case .null, .bytes, .integer, .double, .boolean, .bigNumber, .verbatim, .error: nil
        }
    }

    /// The bytes of a string; `nil` for other values.
    package var text: ByteBuffer? {
        switch self {
        case .bytes(let bytes), .verbatim(_, let bytes): bytes
        case .null, .integer, .double, .boolean, .bigNumber, .error, .array, .set, .map, .push: nil
        }
    }

    /// Whether the value is a string with exactly these bytes.
    func isText(_ expected: StaticString) -> Bool {
        guard let bytes = text, bytes.readableBytes == expected.utf8CodeUnitCount else { return false }
        return expected.withUTF8Buffer { expected in bytes.readableBytesView.elementsEqual(expected) }
    }

    /// The kind of value, for error messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bytes, .verbatim: "a string"
        case .integer: "an integer"
        case .double: "a double"
        case .boolean: "a Boolean"
        case .bigNumber: "a big number"
        case .error: "an error"
        case .array: "an array"
        case .set: "a set"
        case .map: "a map"
        case .push: "a push message"
        }
    }
}
