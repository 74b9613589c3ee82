/// A validation keyword of JSON Schema 2020-12.
public enum SchemaKeyword: Sendable, Hashable {
    /// The minimum length of a string, in Unicode scalars.
    case minLength(Int)
    /// The maximum length of a string, in Unicode scalars.
    case maxLength(Int)
    /// The minimum number of elements of an array.
    case minItems(Int)
    /// The maximum number of elements of an array.
    case maxItems(Int)
    /// The inclusive lower bound of a number.
    case minimum(Double)
    /// The inclusive upper bound of a number.
    case maximum(Double)
    /// An ECMA-262 regular expression that must match somewhere in the string.
    case pattern(String)
    /// A string format that JSON Schema defines, such as `email` or `uri`.
    case format(String)
    /// The allowed values of a string.
    case oneOf([String])
}
