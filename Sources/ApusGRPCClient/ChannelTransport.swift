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

    /// That of the call at hand.
    @TaskLocal static var span: (any Span)?

    private let connections: [HTTP2ClientTransport.Posix]
    private let next = Atomic(0)
    private let configuration: GRPCChannel.Configuration
    private let retries: RPCExecutionPolicy?
    /// The budget of all retries together.
    public let retryThrottle: RetryThrottle?

    init(_ address: GRPCChannel.Address, _ configuration: GRPCChannel.Configuration) throws {
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
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        let connection = connections[Int(UInt(bitPattern: index) % UInt(connections.count))]
        return try await withSpan(descriptor.fullyQualifiedMethod, ofKind: .client) { span in
            span.attributes["rpc.system"] = "grpc"
            span.attributes["rpc.method"] = descriptor.fullyQualifiedMethod
            return try await Self.$span.withValue(span) {
                try await connection.withStream(descriptor: descriptor, options: options, body)
            }
        }
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
