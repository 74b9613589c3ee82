/// One field that breaks one rule.
public struct ValidationFailure: Sendable, Hashable, Codable {
    /// Where the field is in the input: a JSON pointer (RFC 6901) such as `/items/0/name`, or empty for the whole.
    public let pointer: String
    /// What kind of rule it breaks: stable, for programs. `too_short`, `out_of_range`, `required` …
    public let code: String
    /// What would be right: a phrase that goes on from the field's name, such as `must have 1 to 80 characters`.
    public let message: String

    public init(pointer: String, code: String, message: String) {
        self.pointer = pointer
        self.code = code
        self.message = message
    }
}

/// The way from the root of an input to one of its fields (RFC 6901).
public struct JSONPointer: Sendable, Hashable, CustomStringConvertible {
    /// The pointer as it is written: empty for the root.
    public let description: String

    /// The whole input.
    public static let root = JSONPointer(description: "")

    private init(description: String) { self.description = description }

    /// The pointer to a named field of this one. `~` and `/` in the name are escaped.
    public func appending(_ name: String) -> JSONPointer {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
            return JSONPointer(description: description + "/" + name)
        }
        return JSONPointer(description: description + "/" + name.replacing(["~": "~0", "/": "~1"]))
    }

    /// The pointer to an element of this array.
    public func appending(_ index: Int) -> JSONPointer { JSONPointer(description: "\(description)/\(index)") }
}
