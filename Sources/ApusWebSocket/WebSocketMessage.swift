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

/// A close code, the reason for closing a WebSocket (RFC 6455 §7.4). Only codes that may be sent can be created.
///
/// Declare the codes of an application, from 4000 to 4999, as constants:
///
/// ```swift
/// extension WebSocketCloseCode {
///     static let roomClosed = WebSocketCloseCode(4001)!
/// }
/// await socket.close(.roomClosed)
/// ```
public struct WebSocketCloseCode: Sendable, Hashable {
    /// The numeric code, as sent on the wire.
    public let number: UInt16

    /// Creates a close code.
    /// - Parameter number: 1000 to 1003, 1007 to 1014, or 3000 to 4999, of which 4000 and above are for applications.
    /// - Returns: `nil` for any other number, which must not be sent (RFC 6455 §7.4.1 and §7.4.2), such as 1005 and 1006.
    public init?(_ number: UInt16) {
        switch number {
        case 1000...1003, 1007...1014, 3000...4999: self.number = number
        default: return nil
        }
    }

    private init(standard number: UInt16) { self.number = number }

    /// 1000: normal closure.
    public static let normal = Self(standard: 1000)
    /// 1001: an endpoint is going away.
    public static let goingAway = Self(standard: 1001)
    /// 1002: the peer violated the protocol.
    public static let protocolError = Self(standard: 1002)
    /// 1003: the endpoint does not accept this type of message, such as a binary one.
    public static let unsupportedData = Self(standard: 1003)
    /// 1007: the data of a message does not match its type, such as text that is not UTF-8.
    public static let invalidPayload = Self(standard: 1007)
    /// 1008: the client is not allowed to do this.
    public static let policyViolation = Self(standard: 1008)
    /// 1009: a message exceeds the size limit.
    public static let messageTooBig = Self(standard: 1009)
    /// 1011: an internal error of the server.
    public static let internalError = Self(standard: 1011)
    /// 1012: the server is restarting; clients should reconnect after a random delay.
    public static let serviceRestart = Self(standard: 1012)
    /// 1013: the server is overloaded; clients should try again later.
    public static let tryAgainLater = Self(standard: 1013)
}
