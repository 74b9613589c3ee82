import HTTPTypes
import NIOCore

/// HTML that a handler returns. What is interpolated is escaped, so that it is shown as text and not read as markup.
///
/// ```swift
/// let rows = orders.map { order -> HTML in "<tr><td>\(order.id)</td><td title=\"\(order.note)\">\(order.total)</td></tr>" }
/// return "<!doctype html><title>Orders</title><table>\(rows)</table>" as HTML
/// ```
///
/// Text is safe in elements and in attribute values between quotes. It is not safe in scripts, styles, names or attributes
/// without quotes. For the URL of a link, first rule out schemes such as `javascript:`.
public struct HTML: Sendable, ExpressibleByStringInterpolation, ResponseConvertible {
    /// The text in UTF-8.
    private var bytes: [UInt8]

    /// Creates HTML from a text that is markup. It is not escaped.
    public init(markup: String) { bytes = Array(markup.utf8) }

    public init(stringLiteral value: String) { self.init(markup: value) }

    public init(stringInterpolation: Interpolation) { bytes = stringInterpolation.bytes }

    /// The text.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    public static func += (left: inout HTML, right: HTML) { left.bytes += right.bytes }

    /// Collects the text of an interpolated literal.
    public struct Interpolation: StringInterpolationProtocol {
        fileprivate var bytes: [UInt8] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            bytes.reserveCapacity(literalCapacity + 32 * interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) { bytes.append(contentsOf: literal.utf8) }

        /// Appends a text that is escaped: `&`, `<`, `>`, `"` and `'` become character references.
        public mutating func appendInterpolation(_ text: String) {
            var text = text
            text.withUTF8 { bytes.append(escaping: $0) }
        }

        /// Appends the description of a value, such as a number or an identifier, escaped.
        public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            appendInterpolation(value.description)
        }

        /// Appends HTML as it is.
        public mutating func appendInterpolation(_ html: HTML) { bytes += html.bytes }

        /// Appends pieces of HTML as they are, one after the other.
        public mutating func appendInterpolation(_ pieces: [HTML]) { appendInterpolation(pieces[...]) }

        /// Appends pieces of HTML as they are, one after the other.
        public mutating func appendInterpolation(_ pieces: ArraySlice<HTML>) {
            for piece in pieces { bytes += piece.bytes }
        }
    }

    // MARK: Response

    /// A response with status 200.
    public func response(to request: Request) -> Response {
        Response(status: .ok, headers: Self.headers, body: .bytes(ByteBuffer(bytes: bytes)))
    }

    private static let headers: HTTPFields = [.contentType: "text/html; charset=utf-8"]

    public static func read(_ response: ClientResponse) -> HTML { HTML(markup: response.text) }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[200] = .init("OK", content: .init(["text/html": .of(String.self)]))
    }
}

extension [UInt8] {
    /// Appends text whose characters have no meaning in HTML.
    fileprivate mutating func append(escaping text: UnsafeBufferPointer<UInt8>) {
        var start = 0
        for (index, byte) in text.enumerated() {
            guard let reference = Self.reference(for: byte) else { continue }
            append(contentsOf: text[start..<index])
            append(contentsOf: reference.utf8)
            start = index + 1
        }
        append(contentsOf: text[start...])
    }

    private static func reference(for byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "&"): "&amp;"
        case UInt8(ascii: "<"): "&lt;"
        case UInt8(ascii: ">"): "&gt;"
        case UInt8(ascii: "\""): "&quot;"
        case UInt8(ascii: "'"): "&#39;"
        default: nil
        }
    }
}
