import ApusCore
public import HTTPTypes
public import NIOCore

/// The response to a request.
public struct Response: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields. `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` are set by the engine.
    public var headers: HTTPFields
    /// The body.
    public var body: ResponseBody
    /// How the response is sent.
    package var delivery = ResponseDelivery.standard
    /// When the client stops waiting. What it has not read by then is not sent any more: over HTTP/2, the stream is
    /// reset, and over HTTP/1.1, the connection is closed.
    ///
    /// Not a ``Deadline``, which has an instant of the standard library: its size is only known at run time, and every
    /// response would be moved by way of its metadata.
    package var deadline: NIODeadline?

    public init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: ResponseBody = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Creates a plain-text response: `text/plain` in UTF-8.
    public static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(status: status, headers: textFields, body: .text(text))
    }

    private static let textFields: HTTPFields = [.contentType: "text/plain; charset=utf-8"]

    /// Creates a response that switches the connection to another protocol (RFC 9110 §7.8), which is named in its
    /// `Upgrade` field.
    package static func upgrade(
        headers: HTTPFields, _ run: @escaping @Sendable (any ByteStream) async -> Void
    ) -> Response {
        var response = Response(status: .switchingProtocols, headers: headers)
        response.delivery = .upgrade(Upgrade(run: run))
        return response
    }
}

/// How a response is sent.
package enum ResponseDelivery: Sendable {
    /// The head, followed by the body.
    case standard
    /// As usual, followed by these trailer fields (RFC 9110 §6.5). The body is in memory. HTTP/1.0 does not support
    /// trailers.
    case trailers(HTTPFields)
    /// The head is sent when the streamed body requests it from its writer, a ``DeferredHeadWriter``. Over HTTP/2, the
    /// request body may pause for an unlimited time.
    case deferredHead
    /// The connection switches to another protocol after the response.
    case upgrade(Upgrade)
    /// As usual. The response is an error, which has a body once it is rendered.
    case failure(Failure, isRendered: Bool)
    /// As usual. The response is a 304 in place of this representation.
    case notModified(Representation)
}

/// The representation that a 304 stands for, which the client already has.
package struct Representation: Sendable {
    /// The media type, as in the `Content-Type` field.
    var contentType: String?
    /// The size of the body, in bytes.
    var length: Int
}

/// The body of a response.
public enum ResponseBody: Sendable {
    /// No body.
    case empty
    /// Bytes in memory.
    case bytes(ByteBuffer)
    /// Text in memory, sent as UTF-8.
    case text(String)
    /// Bytes that are produced while they are sent. A length, if given, is declared to the client, and exactly this
    /// many bytes must be written.
    case stream(length: Int? = nil, @Sendable (any ResponseBodyWriter) async throws -> Void)
}

extension Response {
    /// The code that runs on the connection after the response, if the connection switches to another protocol.
    package var upgrade: Upgrade? { if case .upgrade(let upgrade) = delivery { upgrade } else { nil } }

    /// The trailer fields, if they are known before the body is sent.
    package var trailers: HTTPFields? { if case .trailers(let fields) = delivery { fields } else { nil } }

    /// Creates a 304 in place of a representation that the client already has.
    /// - Parameters:
    ///   - headers: The header fields of the representation.
    ///   - length: The size of its body, in bytes.
    static func notModified(headers: HTTPFields, length: Int) -> Response {
        var response = Response(status: .notModified, headers: headers)
        response.delivery = .notModified(Representation(contentType: headers[.contentType], length: length))
        response.headers[.contentType] = nil
        return response
    }

    /// The representation that the response, a 304, stands for; `nil` for any other response.
    var notModified: Representation? {
        if case .notModified(let representation) = delivery { representation } else { nil }
    }

    /// Adds a request field on which the response depends to `Vary`, for caches (RFC 9110 §12.5.5).
    mutating func addVary(_ name: String) {
        let fields = headers[values: .vary]
        let isNamed = fields.contains { field in
            field.split(at: ",").contains { $0.trimmed == "*" || $0.trimmed.asciiLowercased == name.asciiLowercased }
        }
        if !isNamed { headers[values: .vary] = fields + [name] }
    }

    /// Returns the response with the given fields, which replace those of the same names.
    package func adding(_ fields: HTTPFields) -> Response {
        guard !fields.isEmpty else { return self }
        var response = self
        for field in fields { response.headers[field.name] = nil }
        response.headers.append(contentsOf: fields)
        return response
    }

    /// Whether the body determines when the head is sent.
    package var defersHead: Bool { if case .deferredHead = delivery { true } else { false } }
}

extension ResponseBody {
    /// The body as bytes; `nil` for a stream.
    package var buffer: ByteBuffer? {
        switch self {
        case .empty: ByteBuffer()
        case .bytes(let bytes): bytes
        case .text(let text): ByteBuffer(string: text)
        case .stream: nil
        }
    }
}

/// The destination of a streamed response.
public protocol ResponseBodyWriter: Sendable {
    /// Sends bytes. Waits while the client cannot keep up.
    /// - Throws: An error if the client has disconnected, the deadline has passed, or the declared length is exceeded.
    func write(_ bytes: ByteBuffer) async throws

    /// Sets the trailer fields (RFC 9110 §6.5). They are dropped for HTTP/1.0 clients, and for bodies of declared
    /// length over HTTP/1.1, neither of which supports trailers.
    func setTrailers(_ trailers: HTTPFields)

    /// Registers an action that is called when the server shuts down. A body without an end of its own should then end.
    /// By default, the action is never called.
    func onDrain(_ action: @escaping @Sendable () -> Void)
}

/// The destination of a streamed response whose head is not known until the body is being produced.
package protocol DeferredHeadWriter: ResponseBodyWriter {
    /// Sends the head, with these fields in addition to the existing ones. A write before this call sends the head
    /// without them. If the body ends before this call, its trailers are sent in the head.
    func sendHead(_ fields: HTTPFields)
}

extension ResponseBodyWriter {
    public func onDrain(_ action: @escaping @Sendable () -> Void) {}

    /// Sends text as UTF-8.
    public func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }
}

/// The code that runs on a connection after it has switched to another protocol.
package struct Upgrade: Sendable {
    /// Runs with the byte stream of the connection. The connection is closed when it returns.
    package let run: @Sendable (any ByteStream) async -> Void
}

/// The byte stream of a connection after an upgrade.
package protocol ByteStream: Sendable {
    /// Returns the next bytes, or `nil` when the peer has sent its last byte.
    func read() async throws -> ByteBuffer?
    /// Sends bytes. Waits while the peer cannot keep up.
    func write(_ bytes: ByteBuffer) async throws
    /// Closes the connection immediately.
    func close()
    /// Whether there are received bytes that have not been read, which shows that the peer is alive.
    var hasUnreadBytes: Bool { get }
    /// Registers an action that is called when the server shuts down, so that the peer can be told to reconnect
    /// elsewhere.
    func onDrain(_ action: @escaping @Sendable () -> Void)
}
