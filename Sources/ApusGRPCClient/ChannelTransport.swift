import ApusCore
public import GRPCCore
public import GRPCNIOTransportCore
import GRPCNIOTransportHTTP2Posix
import ServiceContextModule
import Synchronization
import Tracing

/// The transport of a ``GRPCChannel``: grpc-swift's own, once for each connection, with the deadline and the trace of the work
/// at hand.
public final class ChannelTransport: ClientTransport {
    public typealias Bytes = GRPCNIOTransportBytes

    private typealias Connection = HTTP2ClientTransport.Posix

    /// The attempt of a call that is under way.
    struct Attempt {
        let span: any Span
        /// What is left of the deadline of the work at hand, where the call's own options would give it longer.
        let lowered: Duration?
    }

    @TaskLocal static var attempt: Attempt?

    private let connections: [HTTP2ClientTransport.Posix]
    private let next = Atomic(0)
    private let configuration: GRPCChannel.Configuration
    private let retries: RPCExecutionPolicy?
    private let tracer: any Tracer
    /// The budget of all retries together.
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

    /// What is left of the deadline of the work at hand, and of a call's own time where it has an end.
    private func timeout(of method: MethodDescriptor) -> Duration? {
        let isStream = method.type.map { $0.isRequestStreaming || $0.isResponseStreaming } ?? false
        let own = isStream ? nil : configuration.timeout
        guard let left = ServiceContext.current?.deadline?.remaining else { return own }
        return max(.zero, min(left, own ?? left))
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
            let lowered = left.flatMap { left in left < options.timeout ?? left ? max(.zero, left) : nil }
            do {
                return try await Self.$attempt.withValue(Attempt(span: span, lowered: lowered)) {
                    try await stream(descriptor, options, body)
                }
            } catch let error as RPCError {
                span.note(error)
                throw error
            }
        }
    }

    /// Tries again where there was no connection: nothing was sent then, so that any method may be.
    @concurrent
    private func stream<Result: Sendable>(
        _ descriptor: MethodDescriptor, _ options: CallOptions,
        _ body: @concurrent (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> Result
    ) async throws -> Result {
        let deadline = options.timeout.map { Deadline.after($0) }
        var attempt = 1
        while true {
            var hasBegun = false
            do {
                return try await connection.withStream(descriptor: descriptor, options: options) { stream, context in
                    hasBegun = true
                    return try await body(stream, context)
                }
            } catch let error as RPCError where error.code == .unavailable && !hasBegun {
                let wait = configuration.retries.delay(after: attempt)
                guard attempt < configuration.retries.maximumAttempts, deadline.map({ $0.remaining > wait }) ?? true
                else { throw error }
                try await Task.sleep(for: wait)
                attempt += 1
            }
        }
    }

    /// The next one: calls go around.
    private var connection: HTTP2ClientTransport.Posix {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return connections[Int(UInt(bitPattern: index) % UInt(connections.count))]
    }
}

extension Span {
    /// How the call failed.
    func note(_ error: RPCError) {
        attributes["rpc.response.status_code"] = String(describing: error.code)
        setStatus(SpanStatus(code: .error, message: error.message))
    }
}

extension ApusCore.RetryPolicy {
    /// The same as gRPC says it; `nil` where nothing is tried again.
    fileprivate var executionPolicy: RPCExecutionPolicy? {
        guard maximumAttempts > 1 else { return nil }
        return .retry(
            GRPCCore.RetryPolicy(
                maxAttempts: maximumAttempts, initialBackoff: max(baseDelay, .milliseconds(1)),
                maxBackoff: max(maximumDelay, .milliseconds(1)), backoffMultiplier: 2,
                retryableStatusCodes: [.unavailable]))
    }
}
