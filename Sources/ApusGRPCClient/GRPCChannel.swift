public import ApusCore
import FoundationEssentials
public import GRPCCore
public import GRPCNIOTransportHTTP2Posix
public import ServiceLifecycle
package import Tracing

/// A channel to a gRPC server: grpc-swift's client and transport, with deadlines, retries and tracing.
///
/// - **Deadline**: The deadline of the current task and the channel's own timeout apply to a call including its retries, and
///   are sent to the server.
/// - **Retries**: While there is no connection, every call is retried, because nothing has been sent. If the server responds
///   that it is unavailable, methods that may be repeated are retried, within a retry budget shared by all calls.
/// - **Tracing**: The trace context of the current task is sent to the server, and each attempt of a call is a span.
///
/// ```swift
/// app.provide(GRPCChannel.self) { _ in try GRPCChannel("https://orders.internal:50051") }
/// app.services.add { try $0.resolve(GRPCChannel.self) }
/// // To make a call:
/// let orders = Orders.Client(wrapping: channel.client)
/// let order = try await orders.place(.with { $0.item = "pizza" })
/// ```
///
/// A failed call throws an `RPCError`. If a handler lets it propagate, the response has the status of the error's code. Calls
/// wait until ``run()`` has started and fail after it has ended.
public struct GRPCChannel: Sendable {
    /// The configuration of a channel.
    public struct Configuration: Sendable {
        /// The timeout of unary calls, including retries. Defaults to 30 seconds. Streams are limited only by the deadline of
        /// the current task, if there is one.
        public var timeout = Duration.seconds(30)
        /// The maximum size of an incoming message, in bytes. Defaults to 4 MiB.
        public var maximumMessageBytes = 4 << 20
        /// Whether outgoing messages are compressed with gzip. Defaults to `false`. Compressed responses are always accepted.
        public var compressesMessages = false
        /// The number of connections that share the calls; each carries many calls concurrently. Defaults to 1.
        public var connections = 1
        /// The time after which a connection without calls is closed. Defaults to 30 minutes.
        public var idleTimeout = Duration.seconds(30 * 60)
        /// The interval of keepalive pings to an idle server while calls are in progress. Defaults to `nil`, which sends none,
        /// because servers may close connections that ping too often.
        public var keepAlive: Duration?
        /// The number of attempts and the delays between them.
        public var retries = ApusCore.RetryPolicy()
        /// Returns whether a method may be retried when the server is unavailable, even though it may already have performed
        /// the call, as is true of idempotent methods. Defaults to `false` for all methods.
        public var mayRepeat: @Sendable (MethodDescriptor) -> Bool = { _ in false }
        /// The TLS configuration for `https` addresses: trust roots and client certificate. By default, it trusts the
        /// system's root certificates and has no client certificate.
        public var tls = HTTP2ClientTransport.Posix.TransportSecurity.TLS.defaults

        public init() {}
    }

    /// The client to pass to the initializers of generated clients.
    public let client: GRPCClient<ChannelTransport>

    /// Creates a channel.
    /// - Parameters:
    ///   - url: An `http` or `https` URL with a host and, if it is not 80 or 443, a port, such as `http://orders:50051`.
    ///   - configuration: The configuration of the channel.
    /// - Throws: An `AppError` with code `invalidArgument` for an invalid URL, or an error from grpc-swift for an invalid TLS
    ///   configuration.
    public init(_ url: String, _ configuration: Configuration = Configuration()) throws {
        try self.init(url, configuration, tracer: InstrumentationSystem.tracer)
    }

    /// - Parameter tracer: The tracer to use instead of the global one.
    package init(_ url: String, _ configuration: Configuration = Configuration(), tracer: any Tracer) throws {
        let transport = try ChannelTransport(try Address(url), configuration, tracer)
        client = GRPCClient(transport: transport, interceptors: [ContextPropagation(tracer: tracer)])
    }

    struct Address {
        let host: String
        let port: Int
        let isSecure: Bool

        init(_ text: String) throws {
            guard !text.utf8.contains(UInt8(ascii: "@")) else {
                // The text is not repeated, because it may contain a password.
                throw AppError(
                    .invalidArgument,
                    "A gRPC server address must not contain user information. Send credentials as metadata instead.")
            }
            guard let url = URL(string: text), let scheme = url.scheme?.lowercased(),
                ["http", "https"].contains(scheme),
                let host = url.host(), !host.isEmpty, ["", "/"].contains(url.path()), url.query() == nil,
                url.fragment() == nil,
                url.port.map({ (1...65535).contains($0) }) ?? true
            else {
                throw AppError(
                    .invalidArgument,
                    "\"\(text)\" is not a gRPC server address, such as http://host:port or https://host:port.")
            }
            self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
            isSecure = scheme == "https"
            port = url.port ?? (isSecure ? 443 : 80)
        }
    }
}

extension RuntimeError: AppErrorConvertible {
    /// The error as an `AppError`: `unavailable` for a client that has been stopped, otherwise `internal`.
    public var appError: AppError {
        let isStopped = code == .clientIsStopped
        return AppError(
            isStopped ? .unavailable : .internal, isStopped ? "The gRPC client has been stopped." : message,
            cause: self)
    }
}

extension GRPCChannel: Service {
    /// Runs the connections until graceful shutdown, which lets calls in progress finish.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await client.runConnections()
        } onGracefulShutdown: {
            client.beginGracefulShutdown()
        }
    }
}
