import ApusCore
import ApusHTTP
public import NIOCore

/// A complete WebSocket message.
public enum WebSocketMessage: Sendable, Equatable {
    case text(String)
    case binary(ByteBuffer)
}

extension WebSocketMessage {
    /// Creates a text message with a value as JSON like that of responses. To send a value to one client, use
    /// ``WebSocket/send(json:)``; a message can be sent to several rooms.
    /// - Throws: An error of the encoding.
    public init(json value: some Encodable) throws { self = .text(String(buffer: try JSONCoding.encode(value))) }

    /// Decodes a value from a text message of JSON, and validates it if its type is `Validatable`.
    /// - Throws: An `AppError` of code `invalidArgument` if the message is binary or not valid JSON; if fields are
    ///   missing, of the wrong type or invalid, it has a failure with the JSON pointer of each.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        guard case .text(let text) = self else {
            throw AppError(.invalidArgument, "The message must be JSON in a text message, not a binary message.")
        }
        let value = try JSONCoding.decode(type, from: text.utf8, calling: "message")
        try (value as? any Validatable)?.validate()
        return value
    }
}

/// A close code, the reason for closing a WebSocket (RFC 6455 §7.4).
public struct WebSocketCloseCode: Sendable, Hashable {
    /// The numeric code, as sent on the wire.
    public let number: UInt16

    /// Creates a close code.
    /// - Parameter number: 1000 to 4999; 4000 and above are reserved for applications.
    public init(_ number: UInt16) { self.number = number }

    /// 1000: normal closure.
    public static let normal = Self(1000)
    /// 1001: an endpoint is going away.
    public static let goingAway = Self(1001)
    /// 1002: the peer violated the protocol.
    public static let protocolError = Self(1002)
    /// 1007: the data of a message does not match its type, such as text that is not UTF-8.
    public static let invalidPayload = Self(1007)
    /// 1008: the client is not allowed to do this.
    public static let policyViolation = Self(1008)
    /// 1009: a message exceeds the size limit.
    public static let messageTooBig = Self(1009)
    /// 1011: an internal error of the server.
    public static let internalError = Self(1011)
    /// 1012: the server is restarting; clients should reconnect after a random delay.
    public static let serviceRestart = Self(1012)
    /// 1013: the server is overloaded; clients should try again later.
    public static let tryAgainLater = Self(1013)

    /// Whether an endpoint may send the code in a close frame.
    static func isAllowedInCloseFrame(_ number: UInt16) -> Bool {
        switch number {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
