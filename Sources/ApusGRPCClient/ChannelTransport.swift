import ApusCore
public import GRPCCore
public import GRPCNIOTransportCore
import GRPCNIOTransportHTTP2Posix
import ServiceContextModule
import Synchronization
import Tracing

/// The transport of a ``GRPCChannel``: one grpc-swift transport per connection, with the deadline and the trace of the current
/// task.
public final class ChannelTransport: ClientTransport {
    public typealias Bytes = GRPCNIOTransportBytes

    private typealias Connection = HTTP2ClientTransport.Posix

    /// An attempt of a call.
    struct Attempt {
        let span: any Span
        /// The remaining time of the current deadline, if it is shorter than the timeout in the call's options.
        let loweredTimeout: Duration?
    }

    @TaskLocal static var attempt: Attempt?

    private let connections: [HTTP2ClientTransport.Posix]
    private let next = Atomic(0)
    private let configuration: GRPCChannel.Configuration
    private let retries: RPCExecutionPolicy?
    private let tracer: any Tracer
    /// The retry budget shared by all calls.
    public let retryThrottle: RetryThrottle?

    init(_ address: GRPCChannel.Address, _ configuration: GRPCChannel.Configuration, _ tracer: any Tracer) throws {
        self.tracer = tracer
        self.configuration = configuration
        retries = configuration.retries.executionPolicy
        retryThrottle = RetryThrottle(maxTokens: 20, tokenRatio: 0.1)
        var config = Connection.Config.defaults
        config.compression.enabledAlgorithms = .gzip
        config.compression.algorithm = configuration.compressesMessages ? .gzip : .none
        config.connection.maxIdleTime = configuration.idleTimeout
        config.connection.keepalive = configuration.keepAlive.map {
            .init(time: $0, timeout: .seconds(20), allowWithoutCalls: false)
        }
        connections = try (0..<max(1, configuration.connections)).map { _ in
            try Connection(
                target: .dns(host: address.host, port: address.port),
                transportSecurity: address.isSecure ? .tls(configuration.tls) : .plaintext, config: config)
        }
    }

    @concurrent
    public func connect() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for connection in connections { group.addTask { try await connection.connect() } }
            try await group.waitForAll()
        }
    }

    public func beginGracefulShutdown() { for connection in connections { connection.beginGracefulShutdown() } }

    public func config(forMethod method: MethodDescriptor) -> MethodConfig? {
        MethodConfig(
            names: [], timeout: timeout(of: method), maxResponseMessageBytes: configuration.maximumMessageBytes,
            executionPolicy: configuration.mayRepeat(method) ? retries : nil)
    }

    /// Returns the shorter of the current deadline's remaining time and, for unary methods, the configured timeout.
    private func timeout(of method: MethodDescriptor) -> Duration? {
        let isStream = method.type.map { $0.isRequestStreaming || $0.isResponseStreaming } ?? false
        let configured = isStream ? nil : configuration.timeout
        guard let left = ServiceContext.current?.deadline?.remaining else { return configured }
        return max(.zero, min(left, configured ?? left))
    }

    @concurrent
    public func withStream<Result: Sendable>(
        descriptor: MethodDescriptor, options: CallOptions,
        _ body: @concurrent (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> Result
    ) async throws -> Result {
        try await tracer.withSpan(descriptor.fullyQualifiedMethod, ofKind: .client) { span in
            span.attributes["rpc.system"] = "grpc"
            span.attributes["rpc.method"] = descriptor.fullyQualifiedMethod
            let left = ServiceContext.current?.deadline?.remaining
            let loweredTimeout = left.flatMap { left in left < options.timeout ?? left ? max(.zero, left) : nil }
            do {
                return try await Self.$attempt.withValue(Attempt(span: span, loweredTimeout: loweredTimeout)) {
                    try await stream(descriptor, options, body)
                }
            } catch let error as RPCError {
                span.recordFailure(error)
                throw error
            }
        }
    }

    /// Retries while there is no connection. This is safe for any method, because nothing has been sent yet.
    @concurrent
    private func stream<Result: Sendable>(
        _ descriptor: MethodDescriptor, _ options: CallOptions,
        _ body: @concurrent (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> Result
    ) async throws -> Result {
        let deadline = options.timeout.map { Deadline.after($0) }
        var attempt = 1
        while true {
            var hasStarted = false
            do {
                return try await connection.withStream(descriptor: descriptor, options: options) { stream, context in
                    hasStarted = true
                    return try await body(stream, context)
                }
            } catch let error as RPCError where error.code == .unavailable && !hasStarted {
                let wait = configuration.retries.delay(after: attempt)
                guard attempt < configuration.retries.maximumAttempts, deadline.map({ $0.remaining > wait }) ?? true
                else { throw error }
                try await Task.sleep(for: wait)
                attempt += 1
            }
        }
    }

    /// The next connection, round-robin.
    private var connection: HTTP2ClientTransport.Posix {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return connections[Int(UInt(bitPattern: index) % UInt(connections.count))]
    }
}

extension Span {
    /// Records the failure of a call.
    func recordFailure(_ error: RPCError) {
        attributes["rpc.response.status_code"] = String(describing: error.code)
        setStatus(SpanStatus(code: .error, message: error.message))
    }
}

extension ApusCore.RetryPolicy {
    /// The equivalent gRPC policy; `nil` if there are no retries.
    fileprivate var executionPolicy: RPCExecutionPolicy? {
        guard maximumAttempts > 1 else { return nil }
        return .retry(
            GRPCCore.RetryPolicy(
                maxAttempts: maximumAttempts, initialBackoff: max(baseDelay, .milliseconds(1)),
                maxBackoff: max(maximumDelay, .milliseconds(1)), backoffMultiplier: 2,
                retryableStatusCodes: [.unavailable]))
    }
}
