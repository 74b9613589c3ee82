/// The options of a WebSocket endpoint.
public struct WebSocketOptions: Sendable {
    /// The web origins that may connect. Clients other than browsers send no `Origin` and are not affected.
    public enum Origins: Sendable {
        /// Pages of the origin that the request is sent to: the same scheme, host and port (RFC 6454).
        case sameOrigin
        /// Pages from exactly these origins, such as `https://app.example.org`.
        case only(Set<String>)
        /// All pages.
        case any
    }

    /// The maximum size of a message, in bytes. 64 KiB by default; a larger message closes the connection with 1009.
    public var maxMessageBytes = 64 << 10
    /// The interval between pings. 20 seconds by default.
    public var pingInterval = Duration.seconds(20)
    /// How long the client may stay silent after a ping before the connection is closed. 20 seconds by default.
    public var pongTimeout = Duration.seconds(20)
    /// How long a client may take to respond to a close frame. 2 seconds by default.
    public var closeTimeout = Duration.seconds(2)
    /// The web origins that may connect. That of the request itself by default.
    public var origins = Origins.sameOrigin
    /// The supported subprotocols, in order of preference.
    public var subprotocols: [String]

    public init(subprotocols: [String] = []) { self.subprotocols = subprotocols }
}
