import ApusHTTP

/// The limits on what one client, and all clients together, may use. All but ``connectionAge`` apply always: they have a
/// default and cannot be turned off.
public struct ServerLimits: Sendable {
    /// The maximum size of a request line and its header fields, in bytes. 16 KiB by default; beyond it, the client
    /// receives 431.
    public var headBytes = 16 << 10
    /// The maximum number of header fields. 100 by default; beyond it, the client receives 431.
    public var headFields = 100
    /// The maximum size of a body, in bytes, unless the route sets its own. 1 MiB by default; beyond it, the client
    /// receives 413.
    public var bodyBytes = RequestBody.defaultLimit
    /// How long a header may take to arrive after its first byte. 10 seconds by default; then the client receives 408.
    public var headTimeout = Duration.seconds(10)
    /// How long a connection may stay open without a request, and how long a client may leave a response unread. 60
    /// seconds by default.
    public var idleTimeout = Duration.seconds(60)
    /// The minimum average rate of a body after ``bodyGrace``, in bytes per second. 240 by default; below it, the
    /// client receives 408.
    public var bodyBytesPerSecond = 240
    /// How long a body may arrive more slowly than ``bodyBytesPerSecond``. 5 seconds by default.
    public var bodyGrace = Duration.seconds(5)
    /// How long a response may take to begin. 30 seconds by default; then the handler is cancelled and the client
    /// receives 504.
    public var requestDeadline = Duration.seconds(30)
    /// How long a cancelled handler may take to return before the client is answered without it. 5 seconds by default.
    public var cancellationGrace = Duration.seconds(5)
    /// The maximum number of open connections. 10,000 by default; further ones wait in the system's accept queue.
    public var connections = 10_000
    /// The maximum number of requests in flight. 10,000 by default; further ones receive 503 with `Retry-After`.
    public var requestsInFlight = 10_000
    /// The paths, without a query, that are served even beyond ``requestsInFlight``. Meant for health checks: a busy
    /// server that fails them is restarted, which increases the load on the others. Empty by default.
    public var alwaysServed: Set<String> = []
    /// The maximum number of concurrent requests on an HTTP/2 connection. 100 by default.
    public var concurrentStreams = 100
    /// How long an HTTP/2 connection accepts new requests, ± 10 %. Then its client is asked to open another connection,
    /// which a load balancer may route elsewhere. If `nil`, the default, there is no limit.
    public var connectionAge: Duration?
    /// How long requests in flight may take to finish after their connection has reached ``connectionAge``. 5 minutes
    /// by default.
    public var connectionAgeGrace = Duration.seconds(300)
    /// How long an HTTP/2 client with requests in flight may be silent before it is pinged. 60 seconds by default.
    public var pingInterval = Duration.seconds(60)
    /// How long an HTTP/2 client may take to acknowledge a ping before the connection is closed. 20 seconds by default.
    public var pingTimeout = Duration.seconds(20)
    /// The minimum interval between the pings of an HTTP/2 client while nothing else is sent to it. 10 seconds by
    /// default; the third ping that comes too early closes the connection.
    public var clientPingInterval = Duration.seconds(10)
    /// The maximum number of bytes of a body, or of pipelined requests, that are buffered until they are read. 64 KiB by
    /// default.
    public var bufferedBytes = 64 << 10

    /// Creates the default limits.
    public init() {}
}
