import ApusHTTP

/// What one client, and all of them together, may take from the server. Every limit has a value; none is ever off.
public struct ServerLimits: Sendable {
    /// The most bytes of a request line with its header fields. 16 KiB; past it the client receives 431.
    public var headBytes = 16 << 10
    /// The most header fields. 100; past it the client receives 431.
    public var headFields = 100
    /// The most bytes of a body, unless a route says otherwise. 1 MiB; past it the client receives 413.
    public var bodyBytes = RequestBody.defaultLimit
    /// The time for a head to arrive once its first byte has. 10 seconds; past it the client receives 408.
    public var headTimeout = Duration.seconds(10)
    /// The time that a connection may be open without a request, and that a client may leave a response unread. 60 seconds.
    public var idleTimeout = Duration.seconds(60)
    /// The least bytes a second, on average, at which a body may arrive after ``bodyGrace``. 240; below it 408.
    public var bodyBytesPerSecond = 240
    /// The time that a body may be slower than ``bodyBytesPerSecond``. 5 seconds.
    public var bodyGrace = Duration.seconds(5)
    /// The time for a response to begin. 30 seconds; past it the handler is cancelled and the client receives 504.
    public var requestDeadline = Duration.seconds(30)
    /// The time a cancelled handler has to end by itself before the client is answered without it. 5 seconds.
    public var cancellationGrace = Duration.seconds(5)
    /// The most connections at a time. 10,000; more wait in the system's queue until one ends.
    public var connections = 10_000
    /// The most requests at a time. 10,000; one more is answered 503 with `Retry-After`.
    public var requestsInFlight = 10_000
    /// Paths, without a query, that are answered past ``requestsInFlight`` too: those of health checks, because a busy
    /// server that seems dead is restarted, which makes the next one busier. None by default.
    public var alwaysServed: Set<String> = []
    /// The most requests at a time on one HTTP/2 connection. 100.
    public var concurrentStreams = 100
    /// How long an HTTP/2 connection takes new requests, more or less a tenth; then its client is told to open another one, which
    /// a balancer may send elsewhere. `nil`: as long as the client likes.
    public var connectionAge: Duration?
    /// The time that requests have to end once their connection has reached ``connectionAge``. 5 minutes.
    public var connectionAgeGrace = Duration.seconds(300)
    /// The time after which a client of HTTP/2 that sends nothing, and has requests under way, is asked whether it is there. 60
    /// seconds.
    public var pingInterval = Duration.seconds(60)
    /// The time that it has to answer. 20 seconds; past it the connection ends.
    public var pingTimeout = Duration.seconds(20)
    /// How often a client of HTTP/2 may ask whether the server is there, while it is sent nothing else. 10 seconds; the third
    /// time that it is less its connection ends.
    public var clientPingInterval = Duration.seconds(10)
    /// The most bytes of a body, or of pipelined requests, that are held while nobody reads them. 64 KiB.
    public var bufferedBytes = 64 << 10

    public init() {}
}
