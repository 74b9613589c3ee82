import ApusCore
import GRPCCore
import Synchronization

/// A GRPCCore transport without sockets: calls arrive as requests and are passed to the handler that was given to
/// ``listen(streamHandler:)``.
final class CallTransport: ServerTransport {
    typealias Bytes = MessageBytes
    typealias StreamHandler = @Sendable @concurrent (RPCStream<Inbound, Outbound>, ServerContext) async -> Void

    /// Wraps the handler: a closure stored as a generic value gains a reabstraction thunk each time it is read.
    private struct Box {
        let handler: StreamHandler
    }

    private let box = Mutex<Box?>(nil)

    /// The handler of calls; `nil` until the server listens.
    var streamHandler: StreamHandler? { box.withLock { $0 }?.handler }

    /// Stores the handler and returns immediately.
    @concurrent
    func listen(streamHandler: @escaping StreamHandler) async throws {
        box.withLock { $0 = Box(handler: streamHandler) }
    }

    func beginGracefulShutdown() {}
}

/// The GRPCCore server for the services registered together.
final class CallServer: Sendable {
    private let transport: CallTransport
    private let started: Task<Void, any Error>

    init(_ router: RPCRouter<CallTransport>) {
        let transport = CallTransport()
        self.transport = transport
        // Ends as soon as it has started, because the transport's `listen` returns immediately.
        started = Task { try await GRPCServer(transport: transport, router: router).serve() }
    }

    /// The handler of calls, once the server has started.
    var streamHandler: CallTransport.StreamHandler {
        get async throws {
            if let handler = transport.streamHandler { return handler }
            try await started.value
            guard let handler = transport.streamHandler else {
                throw AppError(.unavailable, "The gRPC server is not running.")
            }
            return handler
        }
    }
}
