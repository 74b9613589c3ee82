import ApusCore
import HTTPTypes
import NIOCore

/// One event of an ``EventStream`` (the HTML standard, §9.2).
public struct ServerSentEvent: Sendable, Equatable {
    /// What the client hands back as `Last-Event-ID` when it comes again; `nil` leaves the last one standing.
    public var id: String?
    /// Its type; `nil` is `message`.
    public var event: String?
    /// What it says.
    public var data: String

    /// - Parameters:
    ///   - id: Without line breaks and NUL.
    ///   - event: Without line breaks.
    ///   - data: In as many lines as need be.
    public init(_ data: String, event: String? = nil, id: String? = nil) {
        self.data = data
        self.event = event
        self.id = id
    }

    /// An event whose data is JSON.
    public init(json value: some Encodable, event: String? = nil, id: String? = nil) throws {
        self.init(String(buffer: try JSONCoding.encode(value)), event: event, id: id)
    }

    /// - Throws: An `AppError` of code `internal` when the id or the type would end its line.
    func encoded() throws -> ByteBuffer {
        var text = ""
        for (name, value) in [("id", id), ("event", event)] {
            guard let value else { continue }
            guard !value.unicodeScalars.contains(where: { $0 == "\n" || $0 == "\r" || $0 == "\0" }) else {
                throw AppError(.internal, "The \(name) of an event has a line break or a NUL.")
            }
            text += "\(name): \(value)\n"
        }
        // Carriage returns end lines too. Grapheme clusters would hide the one before a line feed.
        let lines = data.replacing("\r\n", with: "\n").unicodeScalars.split(omittingEmptySubsequences: false) {
            $0 == "\n" || $0 == "\r"
        }
        for line in lines { text += "data: \(String(line))\n" }
        return ByteBuffer(string: text + "\n")
    }
}

/// The id of the last event that a client received before it came again; `nil` for one that is new.
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
                description: "The last event that was received."))
    }
}
