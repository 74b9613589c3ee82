import ApusCore
public import HTTPTypes
public import NIOCore

/// What a handler answers.
public struct Response: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields. `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` are the engine's.
    public var headers: HTTPFields
    /// What follows the header.
    public var body: ResponseBody
    /// What is unusual about how it goes out.
    package var delivery = ResponseDelivery.usual

    public init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: ResponseBody = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A response of text, `text/plain` in UTF-8.
    public static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(status: status, headers: textFields, body: .text(text))
    }

    private static let textFields: HTTPFields = [.contentType: "text/plain; charset=utf-8"]

    /// A response that turns the connection to another protocol (RFC 9110 §7.8), named in its `Upgrade` field.
    package static func upgrade(
        headers: HTTPFields, _ run: @escaping @Sendable (any ByteStream) async -> Void
    ) -> Response {
        var response = Response(status: .switchingProtocols, headers: headers)
        response.delivery = .upgrade(Upgrade(run: run))
        return response
    }
}

/// How a response goes out.
package enum ResponseDelivery: Sendable {
    /// The head, and then the body.
    case usual
    /// These fields after the body, which is at hand (RFC 9110 §6.5). HTTP/1.0 has no room for them.
    case trailers(HTTPFields)
    /// The head when the body, a stream, says so: its writer is a ``DeferredHeadWriter``. Over HTTP/2 the request's body may
    /// pause for as long as both sides like.
    case deferredHead
    /// The connection switches to another protocol afterwards.
    case upgrade(Upgrade)
    /// As usual: it is an error, whose body is there once it is rendered.
    case failure(Failure, isRendered: Bool)
    /// As usual: a 304 in the place of this representation.
    case notModified(Representation)
}

/// What a 304 stands for: the answer that the client has already.
package struct Representation: Sendable {
    /// The media type, as the `Content-Type` field has it.
    var contentType: String?
    /// Bytes of the body.
    var length: Int
}

/// What follows a response's header.
public enum ResponseBody: Sendable {
    /// Nothing.
    case empty
    /// Bytes at hand.
    case bytes(ByteBuffer)
    /// Text at hand, sent in UTF-8.
    case text(String)
    /// Bytes made while they are sent. With a length the client is told it, and exactly so many bytes must be written.
    case stream(length: Int? = nil, @Sendable (any ResponseBodyWriter) async throws -> Void)
}

extension Response {
    /// What runs on the connection afterwards, if it turns to another protocol.
    package var upgrade: Upgrade? { if case .upgrade(let upgrade) = delivery { upgrade } else { nil } }

    /// The fields after the body, where they are known before it is sent.
    package var trailers: HTTPFields? { if case .trailers(let fields) = delivery { fields } else { nil } }

    /// 304 in the place of a representation that the client has already.
    /// - Parameters:
    ///   - headers: Those of the representation.
    ///   - length: Bytes of its body.
    static func notModified(headers: HTTPFields, length: Int) -> Response {
        var response = Response(status: .notModified, headers: headers)
        response.delivery = .notModified(Representation(contentType: headers[.contentType], length: length))
        response.headers[.contentType] = nil
        return response
    }

    /// The representation that a 304 stands for.
    var notModified: Representation? {
        if case .notModified(let representation) = delivery { representation } else { nil }
    }

    /// Names a request field on which the response depends, for caches (RFC 9110 §12.5.5).
    mutating func addVary(_ name: String) {
        let fields = headers[values: .vary]
        let isNamed = fields.contains { field in
            field.split(at: ",").contains { $0.trimmed == "*" || $0.trimmed.asciiLowercased == name.asciiLowercased }
        }
        if !isNamed { headers[values: .vary] = fields + [name] }
    }

    /// The same with fields in the place of those of their names.
    package func adding(_ fields: HTTPFields) -> Response {
        guard !fields.isEmpty else { return self }
        var response = self
        for field in fields { response.headers[field.name] = nil }
        response.headers.append(contentsOf: fields)
        return response
    }

    /// Whether the head is sent when the body says so.
    package var defersHead: Bool { if case .deferredHead = delivery { true } else { false } }
}

extension ResponseBody {
    /// What is at hand, as bytes; `nil` for a stream.
    package var buffer: ByteBuffer? {
        switch self {
        case .empty: ByteBuffer()
        case .bytes(let bytes): bytes
        case .text(let text): ByteBuffer(string: text)
        case .stream: nil
        }
    }
}

/// Where a streamed response is written to.
public protocol ResponseBodyWriter: Sendable {
    /// Sends bytes; waits while the client does not keep up.
    /// - Throws: When the client is gone, the deadline has passed, or more is written than was announced.
    func write(_ bytes: ByteBuffer) async throws

    /// Sets the fields that follow the body (RFC 9110 §6.5). A client of HTTP/1.0, and a body of announced length in
    /// HTTP/1.1, leave no room for them; they are dropped then.
    func setTrailers(_ trailers: HTTPFields)

    /// Asks to be told when the server stops: a body that has no end of its own should end then. By default nobody is told.
    func onDrain(_ action: @escaping @Sendable () -> Void)
}

/// Where a streamed response is written to that finds out late what its head says.
package protocol DeferredHeadWriter: ResponseBodyWriter {
    /// Sends the head, with these fields beside those that are there. What is written before that sends it without them; a
    /// body that ends before that has its trailers in its head.
    func sendHead(_ fields: HTTPFields)
}

extension ResponseBodyWriter {
    public func onDrain(_ action: @escaping @Sendable () -> Void) {}

    /// Sends text in UTF-8.
    public func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }
}

/// What runs on a connection once it has turned to another protocol.
package struct Upgrade: Sendable {
    /// Runs on the bytes of the connection; the connection is closed when it returns.
    package let run: @Sendable (any ByteStream) async -> Void
}

/// A connection as bytes, after an upgrade.
package protocol ByteStream: Sendable {
    /// The next bytes, `nil` once the peer has sent its last.
    func read() async throws -> ByteBuffer?
    /// Sends bytes; waits while the peer does not keep up.
    func write(_ bytes: ByteBuffer) async throws
    /// Ends the connection at once.
    func close()
    /// Whether bytes came that nobody has read yet: a sign of life of the peer.
    var hasUnreadBytes: Bool { get }
    /// Asks to be told when the server stops, so that the peer can be told to come back elsewhere.
    func onDrain(_ action: @escaping @Sendable () -> Void)
}
