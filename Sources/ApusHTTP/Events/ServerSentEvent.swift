import ApusCore
import HTTPTypes
import NIOCore

/// An event of an ``EventStream`` (the HTML standard, §9.2).
public struct ServerSentEvent: Sendable, Equatable {
    /// The id, which the client sends as `Last-Event-ID` when it reconnects; `nil` keeps the previous id.
    public var id: String?
    /// The event type; `nil` means `message`.
    public var event: String?
    /// The data.
    public var data: String

    /// Creates an event.
    /// - Parameters:
    ///   - data: The data, which may have several lines.
    ///   - event: The event type, without line breaks and NUL.
    ///   - id: The id, without line breaks and NUL.
    public init(_ data: String, event: String? = nil, id: String? = nil) {
        self.data = data
        self.event = event
        self.id = id
    }

    /// Creates an event whose data is a value encoded as JSON.
    /// - Throws: The encoding error.
    public init(json value: some Encodable, event: String? = nil, id: String? = nil) throws {
        self.init(String(buffer: try JSONCoding.encode(value)), event: event, id: id)
    }

    /// Returns the event in the `text/event-stream` format.
    /// - Throws: An `AppError` with code `internal` if the id or the type has a line break or NUL.
    func encoded() throws -> ByteBuffer {
        var text = ""
        for (name, value) in [("id", id), ("event", event)] {
            guard let value else { continue }
            guard !value.unicodeScalars.contains(where: { $0 == "\n" || $0 == "\r" || $0 == "\0" }) else {
                throw AppError(
                    .internal, "The field \"\(name)\" of a server-sent event must not have a line break or NUL.")
            }
            text += "\(name): \(value)\n"
        }
        // Carriage returns end lines too. Split by scalars, because CR LF is a single `Character`.
        let lines = data.replacing("\r\n", with: "\n").unicodeScalars.split(omittingEmptySubsequences: false) {
            $0 == "\n" || $0 == "\r"
        }
        for line in lines { text += "data: \(String(line))\n" }
        return ByteBuffer(string: text + "\n")
    }
}

/// The id of the last event that a reconnecting client received; `nil` for a new client.
public struct LastEventID: RequestInput {
    public init() {}

    public func extract(from request: Request) -> String? {
        request.headers[.lastEventID].flatMap { $0.isEmpty ? nil : $0 }
    }

    public func write(_ value: String?, to request: inout ClientRequest) { request.headers[.lastEventID] = value }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.parameters.append(
            .init(
                "Last-Event-ID", in: .header, isRequired: false, schema: .of(String.self),
                description: "The id of the last event that the client received."))
    }
}
