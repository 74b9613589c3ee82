/// JSON (RFC 8259) over bytes, through `Codable`.
///
/// ``Encoder`` and ``Decoder`` take Foundation's strategies and give what Foundation's coders give for the same input,
/// several times faster, with limits and with errors that say the line, the column and the path.
///
/// ```swift
/// let bytes = try JSON.Encoder().encode(order)
/// let order = try JSON.Decoder().decode(Order.self, from: bytes)
/// ```
public enum JSON {}
