/// A value that must not be printed, such as a key, a password or a token.
///
/// Descriptions, dumps and string interpolation show `<redacted>`; ``reveal()`` returns the value. A secret can be
/// decoded but not encoded, so the compiler rejects a type that contains one as a `Job`, a session value or a response.
public struct Secret<Value: Sendable>: Sendable {
    private let value: Value

    /// Creates a secret.
    public init(_ value: Value) { self.value = value }

    /// Returns the value. The name makes uses easy to find in code reviews.
    public func reveal() -> Value { value }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension Secret: Decodable where Value: Decodable {
    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(Value.self))
    }
}

/// Returns whether two byte sequences are equal, in a time that depends only on their lengths.
///
/// Use it for signatures, tokens and other values that an attacker could otherwise guess byte by byte from the time
/// that comparisons take.
public func constantTimeEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for (a, b) in zip(left, right) { difference |= a ^ b }
    return difference == 0
}
