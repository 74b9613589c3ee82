/// A value that must not be printed: a key, a password, a token.
///
/// Descriptions, dumps and string interpolation show `<redacted>`; ``reveal()`` returns the value. A secret can be decoded and
/// not encoded, so a type that contains one is no `Job`, no session value and no response: the compiler says so.
public struct Secret<Value: Sendable>: Sendable {
    private let value: Value

    public init(_ value: Value) { self.value = value }

    /// The value itself. The name is there to be seen in a review.
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

/// Whether two byte sequences are equal, in a time that depends on their lengths alone.
///
/// For signatures, tokens and whatever else an attacker could guess byte by byte from the time a comparison takes.
public func constantTimeEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for (a, b) in zip(left, right) { difference |= a ^ b }
    return difference == 0
}
