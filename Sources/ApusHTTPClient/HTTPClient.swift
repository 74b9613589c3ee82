public import ApusCore
public import ApusHTTP
import AsyncHTTPClient
public import HTTPTypes
public import Logging
public import NIOCore
public import ServiceLifecycle
import ServiceContextModule
package import Tracing

/// A client for other HTTP services: AsyncHTTPClient with deadlines, retries, circuit breakers and tracing.
///
/// - The **deadline** of the current task applies to a call and all its retries, as does the client's own timeout;
///   whichever comes first ends the call.
/// - **Retries** after a connection failure, 429, 502, 503 or 504, for requests that are idempotent by their method
///   (RFC 9110 §9.2.2) or carry an `Idempotency-Key`. A request that never reached the server may always be retried.
///   `Retry-After` is respected, and one retry budget is shared by all calls.
/// - A **circuit breaker** for each host suspends calls to a host that keeps failing.
/// - The **trace** context of the current task is propagated by AsyncHTTPClient's tracer.
///
/// ```swift
/// let client = HTTPClient(logger: logger)
/// let response = try await client.send(.get, "https://api.example.org/rates", limit: 64 << 10)
/// let rates = try response.json(Rates.self)
/// ```
///
/// The client is a service: add it to those of the app (`app.services.add { try $0.resolve(HTTPClient.self) }`), so
/// that its connections are closed at shutdown.
public struct HTTPClient: Sendable {
    /// The configuration of a client.
    public struct Configuration: Sendable {
        /// The maximum duration of a call, including retries; for a streamed response, until its body begins. 30
        /// seconds by default.
        public var timeout = Duration.seconds(30)
        /// The maximum duration of one attempt. 10 seconds by default.
        public var attemptTimeout = Duration.seconds(10)
        /// The maximum pause between two chunks of a response body. 60 seconds by default.
        public var idleTimeout = Duration.seconds(60)
        /// The maximum time to establish a connection. 3 seconds by default.
        public var connectTimeout = Duration.seconds(3)
        /// The maximum number of concurrent connections to one host. 64 by default.
        public var connectionsPerHost = 64
        /// The maximum number of redirects to follow. 0 by default, so that only the caller decides where a request is
        /// sent.
        public var maximumRedirects = 0
        /// The number of attempts and the delays between them.
        public var retries = RetryPolicy()
        /// The policy of the circuit breakers; `nil` to use none.
        public var breaker: CircuitBreaker.Policy? = CircuitBreaker.Policy()

        public init() {}
    }

    let configuration: Configuration
    let client: AsyncHTTPClient.HTTPClient
    let breakers: HostBreakers
    let budget: RetryBudget
    let clock: any WallClock
    let logger: Logger

    public init(
        _ configuration: Configuration = Configuration(), budget: RetryBudget = RetryBudget(), logger: Logger,
        clock: any WallClock = SystemClock()
    ) {
        self.init(configuration, budget: budget, logger: logger, clock: clock, tracer: nil)
    }

    /// - Parameter tracer: A tracer to use instead of the process-wide one.
    package init(
        _ configuration: Configuration = Configuration(), budget: RetryBudget = RetryBudget(), logger: Logger,
        clock: any WallClock = SystemClock(), tracer: (any Tracer)?
    ) {
        var settings = AsyncHTTPClient.HTTPClient.Configuration()
        settings.timeout.connect = TimeAmount(configuration.connectTimeout)
        settings.timeout.read = TimeAmount(configuration.idleTimeout)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.connectionsPerHost
        settings.redirectConfiguration =
            configuration.maximumRedirects > 0
            ? .follow(max: configuration.maximumRedirects, allowCycles: false) : .disallow
        if let tracer { settings.tracing.tracer = tracer }
        self.configuration = configuration
        self.budget = budget
        self.clock = clock
        self.logger = logger
        client = AsyncHTTPClient.HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
        breakers = HostBreakers(policy: configuration.breaker, clock: clock, logger: logger)
    }

    /// Closes all connections. Requests in flight fail.
    public func shutdown() async throws { try await client.shutdown() }

    /// Sends a request and receives the complete response.
    /// - Parameters:
    ///   - url: An absolute URL with scheme `http` or `https`.
    ///   - limit: The maximum size of the response body, in bytes. 8 MiB by default.
    /// - Returns: The response, whatever its status.
    /// - Throws: An `AppError` with code `deadlineExceeded`, `unavailable` if there is no response or the circuit
    ///   breaker is open, `outOfRange` if the body exceeds the limit, or `invalidArgument` if the URL is malformed; or
    ///   a `CancellationError`.
    public func send(
        _ method: HTTPRequest.Method, _ url: String, headers: HTTPFields = [:], body: ByteBuffer? = nil,
        limit: Int = 8 << 20
    ) async throws -> ClientResponse {
        try await perform(method, url, headers, body.map { .bytes($0) }, isReplayable: true) { request, timeout in
            try await self.response(to: request, timeout: timeout, limit: limit)
        }
    }

    /// Calls a declared endpoint of another service.
    ///
    /// ```swift
    /// let order = try await client.call(OrderEndpoints.show, at: "https://orders.internal", id)
    /// ```
    /// - Parameters:
    ///   - base: The base URL of the service, to which the endpoint's path is appended.
    ///   - headers: Header fields that the endpoint does not declare, such as `Authorization`.
    ///   - limit: The maximum size of the response body, in bytes. 8 MiB by default.
    /// - Throws: An ``UnexpectedResponse`` if the status is not one of the endpoint's success statuses; an `AppError`
    ///   if a value cannot be encoded or the body cannot be decoded; the errors of ``send(_:_:headers:body:limit:)``.
    public func call<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, at base: String, _ value: repeat (each Input).Value,
        headers: HTTPFields = [:], limit: Int = 8 << 20
    ) async throws -> Output {
        let request = try endpoint.request(repeat each value)
        var all = request.headers
        for field in headers { all[field.name] = field.value }
        let address = (base.ends(withBytesOf: "/") ? String(Substring(base.utf8.dropLast())) : base) + request.target
        return try endpoint.read(
            try await send(request.method, address, headers: all, body: request.body, limit: limit))
    }
}

extension HTTPClient: Service {
    /// Waits for the graceful shutdown and then closes all connections.
    public func run() async throws {
        try? await gracefulShutdown()
        try await shutdown()
    }
}
