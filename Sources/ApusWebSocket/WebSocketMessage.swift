public import NIOCore

/// A whole message.
public enum WebSocketMessage: Sendable, Equatable {
    case text(String)
    case binary(ByteBuffer)
}

/// Why a WebSocket was closed (RFC 6455 §7.4).
public struct WebSocketCloseCode: Sendable, Hashable {
    /// The number as it is sent.
    public let number: UInt16

    /// - Parameter number: 1000 to 4999; those from 4000 are an application's own.
    public init(_ number: UInt16) { self.number = number }

    /// 1000: all was said.
    public static let normal = Self(1000)
    /// 1001: one side goes away.
    public static let goingAway = Self(1001)
    /// 1002: bytes that break the protocol.
    public static let protocolError = Self(1002)
    /// 1007: a message that is not what it claims to be.
    public static let invalidPayload = Self(1007)
    /// 1008: not allowed.
    public static let policyViolation = Self(1008)
    /// 1009: a message larger than the limit.
    public static let tooBig = Self(1009)
    /// 1011: the server failed.
    public static let internalError = Self(1011)
    /// 1012: the server restarts; connect again, after a moment chosen at random.
    public static let serviceRestart = Self(1012)
    /// 1013: overloaded; try again later.
    public static let tryAgainLater = Self(1013)

    static func mayBeSent(_ number: UInt16) -> Bool {
        switch number {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
