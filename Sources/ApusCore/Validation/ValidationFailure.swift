/// A field that breaks a validation rule.
public struct ValidationFailure: Sendable, Hashable, Codable {
    /// The location of the field in the input: a JSON pointer (RFC 6901) such as `/items/0/name`, or empty for the
    /// entire input.
    public let pointer: String
    /// A stable code of the rule for programs, such as `length`, `out_of_range` or `required`.
    public let code: String
    /// The requirement, as a phrase that continues the name of the field, such as `must have 1 to 80 characters`.
    public let message: String

    /// Creates a failure.
    public init(pointer: String, code: String, message: String) {
        self.pointer = pointer
        self.code = code
        self.message = message
    }
}

/// A pointer from the root of an input to one of its fields (RFC 6901).
public struct JSONPointer: Sendable, Hashable, CustomStringConvertible {
    /// The text of the pointer, empty for the root.
    public let description: String

    /// The pointer to the entire input.
    public static let root = JSONPointer(description: "")

    private init(description: String) { self.description = description }

    /// Returns the pointer to a field of this object. `~` and `/` in the name are escaped.
    public func appending(_ name: String) -> JSONPointer {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
            return JSONPointer(description: description + "/" + name)
        }
        return JSONPointer(description: description + "/" + name.replacing(["~": "~0", "/": "~1"]))
    }

    /// Returns the pointer to an element of this array.
    public func appending(_ index: Int) -> JSONPointer { JSONPointer(description: "\(description)/\(index)") }
}
