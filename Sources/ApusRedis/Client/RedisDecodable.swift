import ApusCore
public import NIOCore

/// A type that replies and their elements can be converted to.
public protocol RedisDecodable: Sendable {
    /// Converts a value.
    /// - Throws: An `AppError` with code `internal` if the value has another type.
    init(redis value: RedisValue) throws
}

extension RedisValue {
    /// Converts the value.
    /// - Throws: An `AppError` with code `internal` if the value has another type.
    public func decode<Value: RedisDecodable>(_ type: Value.Type = Value.self) throws -> Value {
        try Value(redis: self)
    }

    /// The error for a value that cannot be converted.
    func mismatch(_ expected: String) -> any Error {
        if case .error(let error) = self { return error }
        return AppError(.internal, "Redis returned \(kind) instead of \(expected).")
    }
}

extension RedisValue: RedisDecodable {
    public init(redis value: RedisValue) { self = value }
}

extension ByteBuffer: RedisDecodable {
    public init(redis value: RedisValue) throws {
        guard let bytes = value.text else { throw value.mismatch("a string") }
        self = bytes
    }
}

extension String: RedisDecodable {
    /// Converts a string, which must be UTF-8, or a number.
    public init(redis value: RedisValue) throws {
        switch value {
        case .bytes(let bytes), .verbatim(_, let bytes):
            guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
                throw AppError(.internal, "Redis returned a string that is not UTF-8.")
            }
            self = text
        case .integer(let integer): self = String(integer)
        case .bigNumber(let digits): self = digits
        case .null, .double, .boolean, .error, .array, .set, .map, .push: throw value.mismatch("a string")
        }
    }
}

extension Int64: RedisDecodable {
    /// Converts an integer, or a string of decimal digits.
    public init(redis value: RedisValue) throws {
        if case .integer(let integer) = value {
            self = integer
            return
        }
        let parsed = value.text?.withUnsafeReadableBytes { RESPNumber.integer($0) }
        guard let integer = parsed ?? nil else { throw value.mismatch("an integer") }
        self = integer
    }
}

extension Int: RedisDecodable {
    /// Converts an integer, or a string of decimal digits.
    public init(redis value: RedisValue) throws { self = Int(try Int64(redis: value)) }
}

extension Double: RedisDecodable {
    /// Converts a number, or a string of one: RESP2 sends floating-point numbers as strings.
    public init(redis value: RedisValue) throws {
        switch value {
        case .double(let number): self = number
        case .integer(let integer): self = Double(integer)
        case .bytes(let bytes), .verbatim(_, let bytes):
            guard let number = bytes.withUnsafeReadableBytes({ RESPNumber.double($0) }) else {
                throw value.mismatch("a number")
            }
            self = number
        case .null, .boolean, .bigNumber, .error, .array, .set, .map, .push: throw value.mismatch("a number")
        }
    }
}

extension Bool: RedisDecodable {
    /// Converts a Boolean, or 0 or 1, which RESP2 sends instead.
    public init(redis value: RedisValue) throws {
        switch value {
        case .boolean(let boolean): self = boolean
        case .integer(0): self = false
        case .integer(1): self = true
        case .null, .bytes, .integer, .double, .bigNumber, .verbatim, .error, .array, .set, .map, .push:
            throw value.mismatch("a Boolean")
        }
    }
}

extension Optional: RedisDecodable where Wrapped: RedisDecodable {
    /// Converts null to `nil`.
    public init(redis value: RedisValue) throws {
        if case .null = value { self = nil } else { self = try Wrapped(redis: value) }
    }
}

extension Array: RedisDecodable where Element: RedisDecodable {
    /// Converts an array or a set, or the alternating keys and values of a map.
    public init(redis value: RedisValue) throws {
        guard let elements = value.elements else { throw value.mismatch("an array") }
        self = try elements.map { try Element(redis: $0) }
    }
}

extension Dictionary: RedisDecodable where Key: RedisDecodable, Value: RedisDecodable {
    /// Converts a map, or an array of alternating keys and values, which RESP2 sends instead.
    public init(redis value: RedisValue) throws {
        guard let elements = value.elements, elements.count.isMultiple(of: 2) else { throw value.mismatch("a map") }
        self.init(minimumCapacity: elements.count / 2)
        for index in stride(from: 0, to: elements.count, by: 2) {
            self[try Key(redis: elements[index])] = try Value(redis: elements[index + 1])
        }
    }
}
