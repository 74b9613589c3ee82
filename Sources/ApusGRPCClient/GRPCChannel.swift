public import ApusCore
import FoundationEssentials
public import GRPCCore
public import GRPCNIOTransportHTTP2Posix
public import ServiceLifecycle
package import Tracing

/// Calls a server of gRPC: grpc-swift's client and transport, with what every outgoing call needs around it.
///
/// - The **deadline** of the work at hand holds for the call and all its retries, and is said to the server; so does the
///   channel's own timeout.
/// - **Retries**: of all calls while there is no connection, because nothing was sent then, and of the methods that may be
///   repeated when the server says that it is not available, under a budget of all calls together.
/// - The **trace** of the work at hand goes along, and each attempt of a call is a span of it.
///
/// ```swift
/// app.provide(GRPCChannel.self) { _ in try GRPCChannel("https://orders.internal:50051") }
/// app.services.add { try $0.resolve(GRPCChannel.self) }
/// // and where it is used:
/// let orders = Orders.Client(wrapping: channel.client)
/// let order = try await orders.place(.with { $0.item = "pizza" })
/// ```
///
/// A call that fails throws an `RPCError`, which the framework's errors understand: one that a handler lets through is
/// answered by its code. Calls wait until ``run()`` has begun; after its end they are refused.
public struct GRPCChannel: Sendable {
    /// How it calls.
    public struct Configuration: Sendable {
        /// The longest that a call of one message each way may take, its retries included. 30 seconds. Streams have the
        /// deadline of the work at hand, if it has one.
        public var timeout = Duration.seconds(30)
        /// The most bytes of a message that comes. 4 MiB.
        public var maximumMessageBytes = 4 << 20
        /// Whether messages are compressed, by gzip. `false`. What comes is read either way.
        public var compressesMessages = false
        /// How many connections share the calls; each carries many at once. 1.
        public var connections = 1
        /// How long a connection without calls is kept. 30 minutes.
        public var idleTimeout = Duration.seconds(30 * 60)
        /// How often a server that says nothing is asked whether it is there, while calls are under way; `nil` for never, the
        /// default, because servers may end connections that ask more often than they like.
        public var keepAlive: Duration?
        /// How often and after which waits a call is repeated that may be.
        public var retries = ApusCore.RetryPolicy()
        /// Which methods may be repeated when the server is not available, though it may have done the call: those that
        /// change nothing, or nothing more the second time. None, unless you say so.
        public var mayRepeat: @Sendable (MethodDescriptor) -> Bool = { _ in false }
        /// Of connections to an `https` address: whom it trusts, and who it is. The system's roots, and nobody.
        public var tls = HTTP2ClientTransport.Posix.TransportSecurity.TLS.defaults

        public init() {}
    }

    /// What generated clients wrap.
    public let client: GRPCClient<ChannelTransport>

    /// - Parameter url: `http` or `https`, a host, and a port where it is not 80 or 443, such as `http://orders:50051`.
    /// - Throws: An `AppError` of code `invalidArgument` for a URL that is none, and what grpc-swift throws for a
    ///   configuration of TLS that does not work.
    public init(_ url: String, _ configuration: Configuration = Configuration()) throws {
        try self.init(url, configuration, tracer: InstrumentationSystem.tracer)
    }

    /// - Parameter tracer: Instead of the process's own.
    package init(_ url: String, _ configuration: Configuration = Configuration(), tracer: any Tracer) throws {
        let transport = try ChannelTransport(try Address(url), configuration, tracer)
        client = GRPCClient(transport: transport, interceptors: [ContextPropagation(tracer: tracer)])
    }

    struct Address {
        let host: String
        let port: Int
        let isSecure: Bool

        init(_ text: String) throws {
            guard let url = URL(string: text), let scheme = url.scheme?.lowercased(),
                ["http", "https"].contains(scheme),
                let host = url.host(), !host.isEmpty, ["", "/"].contains(url.path()), url.query() == nil
            else {
                throw AppError(
                    .invalidArgument,
                    "\"\(text)\" is no address of a gRPC server: http://host:port or https://host:port.")
            }
            self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
            isSecure = scheme == "https"
            port = url.port ?? (isSecure ? 443 : 80)
        }
    }
}

extension RuntimeError: AppErrorConvertible {
    /// What one calls may be there again; a client that was stopped is not.
    public var appError: AppError {
        let isStopped = code == .clientIsStopped
        return AppError(
            isStopped ? .unavailable : .internal, isStopped ? "The client is stopped." : message, cause: self)
    }
}

extension GRPCChannel: Service {
    /// Connects, and keeps connections until the stop. Calls under way end first.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await client.runConnections()
        } onGracefulShutdown: {
            client.beginGracefulShutdown()
        }
    }
}
