/// A constraint as a JSON schema says it (JSON Schema 2020-12, Validation).
public enum SchemaKeyword: Sendable, Hashable {
    /// Characters, in Unicode scalars.
    case minLength(Int)
    case maxLength(Int)
    /// Elements of a list.
    case minItems(Int)
    case maxItems(Int)
    /// Numbers, the bound included.
    case minimum(Double)
    case maximum(Double)
    /// A regular expression of ECMA-262 that text must match somewhere.
    case pattern(String)
    /// A kind of text that JSON Schema has a name for, such as `email` or `uri`.
    case format(String)
    /// The only texts there may be.
    case oneOf([String])
}
