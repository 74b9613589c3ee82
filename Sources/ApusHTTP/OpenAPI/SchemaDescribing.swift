public import ApusJSON

/// A type that provides its own JSON schema, because the schema cannot be derived from its `Codable` conformance. Examples
/// are enumerations with associated values and text in a specific format.
///
/// ```swift
/// extension Plate: SchemaDescribing {
///     static let schema: JSON.Value = ["type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"]
///     static let schemaExample = Plate("AB-1234")
/// }
/// ```
public protocol SchemaDescribing {
    /// The schema (JSON Schema 2020-12).
    static var schema: JSON.Value { get }
    /// An example value, which is used as a placeholder while types that contain this one are inspected.
    static var schemaExample: Self { get }
}
