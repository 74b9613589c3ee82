public import ApusCore
public import ApusHTTP
import AsyncHTTPClient
public import HTTPTypes
public import Logging
public import NIOCore
public import ServiceLifecycle
import ServiceContextModule
package import Tracing

/// Calls other services over HTTP: async-http-client, with what every outgoing call needs around it.
///
/// - The **deadline** of the work at hand holds for the call and all its retries; the client's own timeout where there is none.
/// - **Retries** of what may be repeated: calls whose method says so (RFC 9110 §9.2.2) or that carry an `Idempotency-Key`,
///   after a lost connection, 429, 502, 503 or 504, `Retry-After` heeded, under a budget of all calls together. A call that never
///   reached the other side may always be repeated.
/// - A **circuit breaker** for each host: one that fails is left alone for a while.
/// - The **trace** of the work at hand goes along, by async-http-client's tracer.
///
/// ```swift
/// let client = HTTPClient(logger: logger)
/// let response = try await client.send(.get, "https://api.example.org/rates", limit: 64 << 10)
/// let rates = try response.json(Rates.self)
/// ```
///
/// It is a service: add it to the app's (`app.services.add { try $0.resolve(HTTPClient.self) }`), which closes its
/// connections at the end.
public struct HTTPClient: Sendable {
    /// How it calls.
    public struct Configuration: Sendable {
        /// The longest that a call may take, its retries included; of a streamed one until the body begins. 30 seconds.
        public var timeout = Duration.seconds(30)
        /// The longest that one attempt may take. 10 seconds.
        public var attemptTimeout = Duration.seconds(10)
        /// The longest that a body may pause while it is received. 60 seconds.
        public var idleTimeout = Duration.seconds(60)
        /// The longest until a connection is there. 3 seconds.
        public var connectTimeout = Duration.seconds(3)
        /// The most connections to one host at once. 64.
        public var connectionsPerHost = 64
        /// Redirects that are followed; none by default: where a call goes is the caller's to say.
        public var maximumRedirects = 0
        public var retries = RetryPolicy()
        /// When a host is left alone; `nil` for never.
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

    /// - Parameter tracer: Instead of the process's own.
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

    /// Closes its connections. What is under way fails.
    public func shutdown() async throws { try await client.shutdown() }

    /// Makes a call.
    /// - Parameters:
    ///   - url: With its scheme, `http` or `https`.
    ///   - limit: The most bytes of the response's body. 8 MiB.
    /// - Returns: Whatever was answered, errors of HTTP included.
    /// - Throws: An `AppError`: `deadlineExceeded`, `unavailable` when there is no connection or the breaker is open,
    ///   `outOfRange` for a body past the limit, `invalidArgument` for a URL that is none; or `CancellationError`.
    public func send(
        _ method: HTTPRequest.Method, _ url: String, headers: HTTPFields = [:], body: ByteBuffer? = nil,
        limit: Int = 8 << 20
    ) async throws -> ClientResponse {
        try await perform(method, url, headers, body.map { .bytes($0) }, mayRepeat: true) { call, time in
            try await self.response(to: call, within: time, limit)
        }
    }

    /// Calls an endpoint of another service as it is declared.
    ///
    /// ```swift
    /// let order = try await client.call(OrderEndpoints.show, at: "https://orders.internal", id)
    /// ```
    /// - Parameters:
    ///   - base: The service's address, to which the endpoint's path is added.
    ///   - headers: Fields that the endpoint does not declare, such as `Authorization`.
    ///   - limit: The most bytes of the response's body. 8 MiB.
    /// - Throws: An ``UnexpectedResponse`` for another status than it answers when all goes well; an `AppError` for a value
    ///   that cannot be sent or a body that cannot be read; what ``send(_:_:headers:body:limit:)`` throws.
    public func call<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, at base: String, _ value: repeat (each Input).Value,
        headers: HTTPFields = [:], limit: Int = 8 << 20
    ) async throws -> Output {
        let request = try endpoint.request(repeat each value)
        var all = request.headers
        for field in headers { all[field.name] = field.value }
        let address = (base.hasSuffix("/") ? String(base.dropLast()) : base) + request.target
        return try endpoint.read(
            try await send(request.method, address, headers: all, body: request.body, limit: limit))
    }
}

extension HTTPClient: Service {
    /// Waits for the stop, and closes its connections then.
    public func run() async throws {
        try? await gracefulShutdown()
        try await shutdown()
    }
}
