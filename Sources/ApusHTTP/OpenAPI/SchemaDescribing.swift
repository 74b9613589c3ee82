public import ApusJSON

/// A type that writes its JSON schema itself, because its `Codable` code does not show it: an enumeration with associated
/// values, text of a special shape.
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
    /// A value to stand for it while the types around it are looked into.
    static var schemaExample: Self { get }
}
