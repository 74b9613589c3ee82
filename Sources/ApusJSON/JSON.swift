/// JSON (RFC 8259) encoding and decoding on bytes, for `Codable` types.
///
/// ``Encoder`` and ``Decoder`` take Foundation's strategies and produce the same results as Foundation's coders,
/// several times faster. They enforce limits, and their errors state the line, the column and the path.
///
/// ```swift
/// let bytes = try JSON.Encoder().encode(order)
/// let order = try JSON.Decoder().decode(Order.self, from: bytes)
/// ```
public enum JSON {}
