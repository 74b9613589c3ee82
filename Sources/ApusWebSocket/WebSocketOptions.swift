/// The limits and manners of a WebSocket endpoint.
public struct WebSocketOptions: Sendable {
    /// Which pages may connect. A client that is no browser sends no `Origin` and is not held up by this.
    public enum Origins: Sendable {
        /// Pages that this server's own host name delivered.
        case sameHost
        /// Pages of exactly these origins, such as `https://app.example.org`.
        case only(Set<String>)
        /// Every page.
        case any
    }

    /// The most bytes of a message. 64 KiB; past it the connection is closed with 1009.
    public var maxMessageBytes = 64 << 10
    /// How often a ping is sent. 20 seconds.
    public var pingInterval = Duration.seconds(20)
    /// How long after a ping the client may stay silent. 20 seconds; past it the connection is closed.
    public var pongTimeout = Duration.seconds(20)
    /// How long a client may take to answer a close. 2 seconds.
    public var closeTimeout = Duration.seconds(2)
    /// Which pages may connect. By default those of the same host.
    public var origins = Origins.sameHost
    /// The subprotocols that are spoken here, the preferred one first.
    public var subprotocols: [String]

    public init(subprotocols: [String] = []) { self.subprotocols = subprotocols }
}
